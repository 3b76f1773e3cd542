// What happens to a generated page without asking the server: one selection of a word and a region, laid over the pictures; the tour, theme
// and the link. Numbers arrive finished (palette PNGs, data attributes); the browser selects, averages over a region, and colours.
// Edits are composed here as data and handed to the server through the hidden fields #edits and #asked.
window.explorerPage = (() => {
  "use strict";
  const store = {
    get: (key) => { try { return localStorage.getItem(key); } catch (error) { return null; } }, // private windows may refuse
    set: (key, value) => { try { localStorage.setItem(key, value); } catch (error) { return; } },
  };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const short = (value) => (value >= 0.0995 ? value.toFixed(2) : value.toFixed(3)).replace(/^0\./, ".");

  // --- one selection: {word, tile, more: [further words]} or {path}; a preview (hover, focus) covers the kept one; a region beside it -
  let page = null;
  let before = null; // what the page was about when it came last
  let kept = null;
  let preview = null;
  let region = null; // [y0, x0, y1, x1] as shares of the side, of every stage
  let range = "own"; // colours reach up to: each word's own largest number, or one for all words of a stage
  let begun = false; // a word has been selected on arrival
  let picked = false; // the selected word is the reader's choice, or the link's: only such a one is put into the link
  let asked = false; // the reader has generated or chosen something: the address bar follows from now on
  let opened = false; // the link in the address bar, if any, has been followed
  let table = new Uint8Array(768); // the colour map
  let levels = new Map(); // colour -> position 0..255 in the colour map
  let decoded = new Map(); // address of a picture of maps -> its levels
  const shown = () => preview || kept;

  const captionWords = () => all(".ex-caption .ex-word", page);
  const chosenBy = (hit) => {
    if (hit.dataset.path) return { path: hit.dataset.path };
    if (hit.dataset.tile) return { word: hit.dataset.word, tile: Number(hit.dataset.tile) };
    return chosenBy(captionWords().find((word) => word.dataset.word === hit.dataset.word)); // a word of a redescription
  };
  const same = (a, b) => Boolean(a && b) && a.path === b.path && a.tile === b.tile && a.word === b.word;
  const parts = (selection) => (selection ? [selection, ...(selection.more || [])] : []);
  const holds = (selection, one) => parts(selection).some((part) => same(part, one));
  const gathered = ([first, ...more]) => (more.length ? { ...first, more } : first || null); // words -> one selection
  const wordsOf = (selection) => parts(selection).map((part) => part.word).join(" + ");

  // --- maps -----------------------------------------------------------------------------------------------------------------
  const decode = (image, then) => { // levels 0..255 of every pixel, or null until the picture has been read
    if (!image.complete || !image.naturalWidth) { image.addEventListener("load", then, { once: true }); return null; }
    if (!decoded.has(image.src)) {
      const canvas = document.createElement("canvas");
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
      const found = new Uint8Array(pixels.length / 4);
      for (let i = 0; i < found.length; i += 1) {
        found[i] = levels.get((pixels[4 * i] << 16) | (pixels[4 * i + 1] << 8) | pixels[4 * i + 2]) || 0;
      }
      decoded.set(image.src, found);
    }
    return decoded.get(image.src);
  };
  const tops = (stage) => stage.querySelector(".ex-picture").dataset.own.split(",").map(Number);
  const sharedTop = (stage) => Number(stage.querySelector(".ex-picture").dataset.top);

  const mapOf = (stage, selection, then) => { // {levels, from, top}: the cells of a selection's map, and what level 255 means
    if (selection.path) {
      const image = stage.querySelector(`.ex-path[data-path="${selection.path}"] img`);
      const found = image && decode(image, then);
      return found && { levels: found, from: 0, top: 1 };
    }
    const canvas = stage.querySelector(".ex-heat");
    const found = decode(stage.querySelector(".ex-strip"), then);
    if (!found) return null;
    const cells = canvas.width * canvas.height;
    if (!selection.more) return { levels: found, from: selection.tile * cells, top: tops(stage)[selection.tile] };
    const sum = new Float64Array(cells); // the probability that a place reads one of the words, as explorer.statistics.phrase_map
    parts(selection).forEach(({ tile }) => sum.forEach((_, i) => { sum[i] += (found[tile * cells + i] / 255) * tops(stage)[tile]; }));
    const top = sum.reduce((most, value) => Math.max(most, value), 1e-9);
    return { levels: sum.map((value) => (255 * value) / top), from: 0, top };
  };

  const draw = (stage, selection) => {
    const picture = stage.querySelector(".ex-picture");
    const canvas = stage.querySelector(".ex-heat");
    if (!canvas) return;
    const there = Boolean(selection) && (!selection.path || Boolean(stage.querySelector(`.ex-path[data-path="${selection.path}"]`)));
    picture.classList.toggle("is-read", there);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const map = there ? mapOf(stage, selection, () => show()) : null;
    legendOf(stage, map && !selection.path && range === "own" ? map.top : sharedTop(stage));
    if (!there) { context.clearRect(0, 0, canvas.width, canvas.height); return; }
    if (!map) return;
    const scale = selection.path || range === "own" ? 1 : map.top / sharedTop(stage);
    const pixels = context.createImageData(canvas.width, canvas.height);
    for (let i = 0; i < canvas.width * canvas.height; i += 1) {
      const level = Math.min(255, Math.round(map.levels[map.from + i] * scale));
      pixels.data.set([table[3 * level], table[3 * level + 1], table[3 * level + 2], 255], 4 * i);
    }
    context.putImageData(pixels, 0, 0);
    tag(stage, selection);
  };

  const legendOf = (stage, top) => { // the ends of the legend, and where 1/T lies, follow the range
    const row = stage.querySelector(".ex-where");
    if (!row) return;
    row.querySelector(".ex-legend > span:last-child").textContent = short(top);
    const mark = row.querySelector(".ex-mark");
    if (mark) mark.style.setProperty("--at", `${Math.min(100, (100 * Number(row.dataset.uniform)) / top).toFixed(1)}%`);
  };

  const tag = (stage, selection, here) => {
    const button = buttonIn(stage, selection);
    if (!button) return;
    const name = selection.path ? `answered by ${selection.path}` : wordsOf(selection);
    const rest = selection.path ? `mean ${button.dataset.shown}` : numbersOf(stage, selection, button);
    stage.querySelector(".ex-tag").textContent = here === undefined ? `${name} · ${rest}` : `${name} · here ${here}`;
  };

  const numbersOf = (stage, selection, button) => {
    const map = selection.more && mapOf(stage, selection, () => {});
    if (!map) return `mean ${button.dataset.mean} · max ${button.dataset.max}`;
    const mean = map.levels.reduce((sum, level) => sum + level, 0) / map.levels.length;
    return `mean ${short((mean / 255) * map.top)} · max ${short(map.top)}`;
  };

  const buttonIn = (stage, selection) => (selection.path
    ? stage.querySelector(`.ex-path[data-path="${selection.path}"]`)
    : stage.querySelector(`.ex-chip[data-tile="${selection.tile}"]`));

  const show = () => {
    if (!page) return;
    const selection = shown();
    all(".ex-chip, .ex-path, .ex-word", page).forEach((button) => {
      button.classList.toggle("is-shown", holds(selection, chosenBy(button)));
      button.setAttribute("aria-pressed", String(holds(kept, chosenBy(button))));
    });
    all(".ex-stream [data-word]", page).forEach((word) => {
      word.classList.toggle("is-shown", parts(selection).some((part) => part.word === word.dataset.word));
    });
    all("[data-range]", page).forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.range === range)));
    all(".ex-chosen", page).forEach((output) => { output.textContent = kept && kept.word ? `“${kept.word}”` : "a word (choose one)"; });
    all(".ex-stage", page).forEach((stage) => { draw(stage, selection); readRegion(stage); });
    liken(kept);
  };

  // --- words in numbers: a table beside the maps, in an order and as long as the reader wants it; memories against the chosen word's -------
  const arrange = (box) => {
    const field = (name) => box.querySelector(`[name="${name}"]`);
    const [by, most] = [field("order").value, Number(field("k").value) || Infinity];
    const rows = all("tbody tr", box).sort((a, b) => (by === "tile" ? a.dataset.tile - b.dataset.tile : b.dataset[by] - a.dataset[by]));
    let left = most;
    rows.forEach((row) => {
      row.hidden = left === 0 || ("small" in row.dataset && !field("small").checked);
      left -= row.hidden ? 0 : 1;
      row.parentElement.append(row);
    });
  };
  const liken = (selection) => {
    all(".ex-numbers tr[data-tile]", page).forEach((row) => {
      const chosen = selection && selection.word ? selection.tile : -1;
      row.classList.toggle("is-shown", Number(row.dataset.tile) === chosen);
      all("[data-alike]", row).forEach((cell) => { cell.textContent = chosen < 0 ? "" : cell.dataset.alike.split(",")[chosen]; });
    });
  };

  const say = () => {
    const stages = all(".ex-stage", page).filter((stage) => kept && buttonIn(stage, kept));
    page.querySelector(".ex-live").textContent = stages.map((stage) => {
      const button = buttonIn(stage, kept);
      const said = kept.more ? `${wordsOf(kept)}: ${numbersOf(stage, kept, button)}` : button.getAttribute("aria-label");
      return `${stage.getAttribute("aria-label")}: ${said}`;
    }).join("; ");
  };

  const joined = (selection) => { // the kept words and one more, or without it
    const words = parts(kept).map(({ word, tile }) => ({ word, tile }));
    return gathered(holds(kept, selection) ? words.filter((part) => !same(part, selection)) : [...words, selection]);
  };
  const keep = (selection, more = false) => {
    if (more && kept && kept.word && selection.word) kept = joined(selection);
    else kept = same(kept, selection) && !kept.more && picked ? null : selection; // a click on the word of the arrival keeps it
    preview = null;
    picked = true;
    acts.word += kept && kept.word ? 1 : 0;
    asked = true;
    show();
    say();
    link();
    tour();
  };

  // --- a region: which words it reads, and who answers there --------------------------------------------------------------------
  const cellsOf = (canvas) => { // as explorer.statistics.cells: every cell that the region touches
    const span = (low, high, side) => {
      const first = Math.min(Math.floor(low * side + 1e-9), side - 1);
      return [first, Math.max(first + 1, Math.ceil(high * side - 1e-9))];
    };
    return [...span(region[0], region[2], canvas.height), ...span(region[1], region[3], canvas.width)];
  };
  const means = (canvas, values, from, top) => { // inside the region, and everywhere
    const [y0, y1, x0, x1] = cellsOf(canvas);
    let inside = 0;
    let everywhere = 0;
    for (let y = 0; y < canvas.height; y += 1) {
      for (let x = 0; x < canvas.width; x += 1) {
        const level = values[from + y * canvas.width + x];
        everywhere += level;
        if (y >= y0 && y < y1 && x >= x0 && x < x1) inside += level;
      }
    }
    const unit = top / 255;
    return [(inside * unit) / ((y1 - y0) * (x1 - x0)), (everywhere * unit) / (canvas.width * canvas.height)];
  };

  const readRegion = (stage) => {
    const line = stage.querySelector(".ex-region");
    const brush = stage.querySelector(".ex-brush");
    if (!line || !brush) return;
    line.dataset.asks = line.dataset.asks || line.textContent;
    brush.hidden = !region;
    if (!region) { line.textContent = line.dataset.asks; return; }
    const percent = (share) => `${(100 * share).toFixed(2)}%`;
    Object.assign(brush.style, {
      top: percent(region[0]), left: percent(region[1]), height: percent(region[2] - region[0]), width: percent(region[3] - region[1]),
    });
    const canvas = stage.querySelector(".ex-heat");
    const values = decode(stage.querySelector(".ex-strip"), show);
    if (!values) return;
    const cells = canvas.width * canvas.height;
    const read = all(".ex-chip", stage).map((chip) => {
      const tile = Number(chip.dataset.tile);
      const [inside, everywhere] = means(canvas, values, tile * cells, tops(stage)[tile]);
      return { word: chip.dataset.word, inside, lift: inside / everywhere };
    }).sort((a, b) => b.inside - a.inside).slice(0, 5);
    const words = read.map((found) => `${found.word} ${short(found.inside)} (× ${found.lift.toFixed(1)})`).join(", ");
    const paths = all(".ex-path", stage).map((button) => {
      const image = button.querySelector("img");
      const own = decode(image, show);
      return own && `${button.dataset.path} ${short(means({ width: image.naturalWidth, height: image.naturalHeight }, own, 0, 1)[0])}`;
    }).filter(Boolean).join(", ");
    line.textContent = `This region reads ${words}${paths ? `; answered by ${paths}` : ""}.`;
  };

  const setRegion = (next) => { region = next; asked = true; show(); link(); };
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const around = (y, x, side) => { // a square about a place, inside the picture
    const top = clamp(y - side / 2, 0, 1 - side);
    const left = clamp(x - side / 2, 0, 1 - side);
    return [top, left, top + side, left + side];
  };
  const placeIn = (picture, event) => {
    const box = picture.getBoundingClientRect();
    return [clamp((event.clientY - box.top) / box.height, 0, 1), clamp((event.clientX - box.left) / box.width, 0, 1)];
  };

  const pointAt = (event) => {
    const stage = event.target.closest(".ex-stage");
    const selection = shown();
    const canvas = stage.querySelector(".ex-heat");
    const map = selection && mapOf(stage, selection, () => {});
    if (!map) return;
    const [y, x] = placeIn(canvas, event);
    const cell = Math.min(canvas.height - 1, Math.floor(y * canvas.height)) * canvas.width + Math.min(canvas.width - 1, Math.floor(x * canvas.width));
    tag(stage, selection, short((map.levels[map.from + cell] / 255) * map.top));
  };

  const brushOver = (root) => {
    let start = null; // {picture, y, x}
    root.addEventListener("pointerdown", (event) => {
      const picture = event.target.closest(".ex-picture");
      if (!picture || !picture.querySelector(".ex-heat") || event.button !== 0) return;
      const [y, x] = placeIn(picture, event);
      start = { picture, y, x };
    });
    const end = (event) => {
      if (!start) return null;
      const [y, x] = placeIn(start.picture, event);
      const drawn = [Math.min(start.y, y), Math.min(start.x, x), Math.max(start.y, y), Math.max(start.x, x)];
      return drawn[2] - drawn[0] > 0.02 && drawn[3] - drawn[1] > 0.02 ? drawn : null;
    };
    root.addEventListener("pointermove", (event) => {
      const drawn = event.pointerType === "mouse" && end(event);
      if (drawn) { region = drawn; all(".ex-stage", page).forEach(readRegion); }
    });
    document.addEventListener("pointerup", (event) => {
      if (!start) return;
      const drawn = end(event) || around(start.y, start.x, 0.125); // a click asks about the places around it
      start = null;
      setRegion(drawn);
    });
    document.addEventListener("pointercancel", () => { start = null; });
    root.addEventListener("dragstart", (event) => { if (event.target.closest(".ex-picture")) event.preventDefault(); });
    root.addEventListener("keydown", (event) => {
      const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!move || !event.target.matches(".ex-picture") || !event.target.querySelector(".ex-heat")) return;
      const [y0, x0, y1, x1] = region || [0.375, 0.375, 0.625, 0.625];
      const [dy, dx] = [clamp(move[0] / 8, -y0, 1 - y1), clamp(move[1] / 8, -x0, 1 - x1)];
      setRegion(region ? [y0 + dy, x0 + dx, y1 + dy, x1 + dx] : [y0, x0, y1, x1]);
      event.preventDefault();
    });
  };

  const listen = (root) => {
    const button = (event) => event.target.closest && event.target.closest(".ex-chip, .ex-path, .ex-word, .ex-stream .is-said");
    const look = (event) => { const hit = button(event); if (hit) { preview = chosenBy(hit); show(); } };
    const leave = (event) => { if (button(event)) { preview = null; show(); } };
    root.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") look(event); });
    root.addEventListener("pointerout", leave);
    root.addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible")) look(event); });
    root.addEventListener("focusout", leave);
    root.addEventListener("click", (event) => {
      const hit = button(event);
      if (hit) keep(chosenBy(hit), event.shiftKey);
      const ranged = event.target.closest("[data-range]");
      if (ranged) { range = ranged.dataset.range; show(); }
      const form = event.target.closest(".ex-form > button");
      if (form) compose(form.parentElement);
      const undone = event.target.closest("[data-undo]");
      if (undone) send(undone.dataset.undo === "all" ? [] : edits().filter((_, k) => k !== Number(undone.dataset.undo)));
    });
    root.addEventListener("input", (event) => {
      if (event.target.matches(".ex-form input[type=range]")) event.target.nextElementSibling.textContent = event.target.value;
      if (event.target.matches(".ex-numbers [name]")) arrange(event.target.closest(".ex-numbers"));
    });
    root.addEventListener("pointermove", (event) => { if (event.target.closest(".ex-picture.is-read")) pointAt(event); });
    root.addEventListener("pointerout", (event) => {
      const picture = event.target.closest(".ex-picture.is-read");
      if (picture) tag(picture.closest(".ex-stage"), shown());
    });
    root.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const hit = step && button(event);
      if (!hit) return;
      const row = all([".ex-chip", ".ex-path", ".ex-word"].find((kind) => hit.matches(kind)), hit.parentElement);
      const next = row[(row.indexOf(hit) + step + row.length) % row.length];
      if (hit.tabIndex === 0 && !hit.dataset.path) { hit.tabIndex = -1; next.tabIndex = 0; }
      next.focus();
      event.preventDefault();
    });
    brushOver(root);
  };

  // --- edits, composed as explorer.interventions reads them -------------------------------------------------------------------
  const edits = () => JSON.parse(page.dataset.edits || "[]");
  const write = (id, text) => { // as if it had been typed and Enter pressed, so that the server is asked
    const field = document.querySelector(`${id} textarea, ${id} input`);
    if (!field) return;
    const kind = field.matches("textarea") ? HTMLTextAreaElement : HTMLInputElement;
    Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(field, text);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new KeyboardEvent("keypress", { key: "Enter", bubbles: true, cancelable: true }));
  };
  const send = (list) => { ask(); write("#edits", JSON.stringify(list)); };
  const wordNamed = () => { // the word, or its position where the caption says it twice
    const twice = captionWords().filter((word) => word.dataset.word === kept.word).length > 1;
    const moved = edits().some((edit) => edit.where === "caption");
    return twice && !moved ? Number(page.dataset.begin) + kept.tile : kept.word;
  };
  const compose = (form) => {
    const kind = form.dataset.edit;
    const field = (name) => { const found = form.querySelector(`[name="${name}"]`); return found && found.value.trim(); };
    const tell = (words) => { page.querySelector(".ex-forms-note").textContent = words; };
    tell("");
    if (["why", "compare", "walk", "sentences"].includes(kind)) {
      const word = kind === "compare" && kept && kept.word ? kept.word : "";
      write("#asked", JSON.stringify({ kind, word, seeds: field("seeds"), other: field("other"), seed: field("seed"), at: Date.now() }));
      return;
    }
    if (["mute", "exchange"].includes(kind) && !(kept && kept.word)) { tell("Choose a word of the caption first."); return; }
    const edit = { edit: kind };
    if (kind === "mute" || kind === "exchange") Object.assign(edit, { word: wordNamed(), where: field("where") });
    if (kind === "exchange") {
      if (!field("new")) { tell("Type the word to read instead."); return; }
      edit.new = field("new");
    }
    if (kind === "writing_gate") edit.value = Number(field("value"));
    if (kind === "freeze_noise") Object.assign(edit, { part: field("part"), seed: Number(page.dataset.seed) });
    if (kind === "response_gate") {
      Object.assign(edit, { image: 0, words: 0, global: 0, [field("path")]: 1 });
      if (field("area") && !region) { tell("Drag over a region of a picture first."); return; }
      if (field("area")) edit.region = region.map((edge) => Math.round(edge * 1000) / 1000);
    }
    send([...edits(), edit]);
  };

  // --- how words reached the picture: the difference picture of one word on one pathway ---------------------------------------
  const difference = (button) => {
    const section = button.closest(".ex-reached");
    const image = section.querySelector(`.ex-differences[data-path="${button.dataset.path}"]`);
    const found = decode(image, () => difference(button));
    all(".ex-effect", section).forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    if (!found) return;
    const canvas = section.querySelector(".ex-difference");
    const context = canvas.getContext("2d");
    const row = Number(button.dataset.row);
    const pixels = context.createImageData(canvas.width, canvas.height);
    for (let i = 0; i < canvas.width * canvas.height; i += 1) {
      const level = found[row * canvas.width * canvas.height + i];
      pixels.data.set([table[3 * level], table[3 * level + 1], table[3 * level + 2], 255], 4 * i);
    }
    context.putImageData(pixels, 0, 0);
    const word = button.closest("tr");
    const said = `“${word.dataset.word}”, ${button.dataset.in}: mean change ${button.textContent}`;
    canvas.setAttribute("aria-label", said);
    section.querySelector(".ex-difference + figcaption").textContent = said;
    section.querySelector(".ex-top").textContent = image.dataset.tops.split(",")[row].replace(/^0\./, ".");
  };
  document.addEventListener("click", (event) => { // the drawing of the network: a box opens its equations and numbers
    const box = event.target.closest(".ex-part");
    if (box) {
      const opened = box.getAttribute("aria-expanded") === "true";
      all(".ex-part", page).forEach((other) => other.setAttribute("aria-expanded", String(other === box && !opened)));
      all(".ex-more", page).forEach((more) => { more.hidden = more.dataset.of !== box.dataset.part || opened; });
    }
    const go = event.target.closest("[data-go]");
    const panel = go && page.querySelector(go.dataset.go);
    if (!panel) return;
    panel.tabIndex = -1;
    panel.scrollIntoView({ block: "start" });
    panel.focus({ preventScroll: true });
  });
  const reach = (root) => { // an answer came: the number of the word that did most is shown first
    const numbers = all('.ex-effect[data-path="total"]', root);
    if (numbers.length) difference(numbers.reduce((most, one) => (Number(one.textContent) > Number(most.textContent) ? one : most)));
    if (page) tour(); // models side by side finish a step
  };
  document.addEventListener("click", (event) => {
    const effect = event.target.closest(".ex-effect");
    if (!effect) return;
    difference(effect);
    const said = captionWords()[Number(effect.closest("tr").dataset.position) - Number(page.dataset.begin)];
    if (said && !same(chosenBy(said), kept)) keep(chosenBy(said));
  });

  // --- a picture of one's own: shrunk here to what the captioner reads, then sent inside a question ------------------------------
  const shrink = async (file, canvas) => {
    const picture = await createImageBitmap(file);
    const least = Math.min(picture.width, picture.height);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const [left, top] = [(picture.width - least) / 2, (picture.height - least) / 2];
    context.drawImage(picture, left, top, least, least, 0, 0, canvas.width, canvas.height);
    picture.close();
  };
  const handing = (root) => {
    const zone = root.querySelector(".ex-drop");
    const [canvas, told] = [zone.querySelector("canvas"), zone.querySelector("p")];
    const promise = told.textContent;
    const take = (file) => {
      if (!file) return;
      shrink(file, canvas).then(() => {
        canvas.hidden = false;
        told.textContent = promise;
        write("#handed", canvas.toDataURL("image/png"));
      }, () => { canvas.hidden = true; told.textContent = "That is not a picture that this browser can read; choose a PNG, JPEG or WebP."; });
    };
    const over = (event) => { event.preventDefault(); zone.classList.toggle("is-over", event.type === "dragover"); };
    zone.querySelector("input").addEventListener("change", (event) => { take(event.target.files[0]); event.target.value = ""; });
    zone.addEventListener("dragover", over);
    zone.addEventListener("dragleave", over);
    zone.addEventListener("drop", (event) => { over(event); take(event.dataTransfer.files[0]); });
  };

  // --- a file came inside a link: it is saved at once, and again on request -----------------------------------------------------
  let held = ""; // the address of the last file
  const save = (root) => {
    const link = root.querySelector(".ex-file");
    if (!link) return;
    URL.revokeObjectURL(held);
    held = URL.createObjectURL(new Blob([Uint8Array.from(atob(link.dataset.base64), (sign) => sign.charCodeAt(0))]));
    link.href = held;
    link.click();
  };

  // --- a new page came from the server -------------------------------------------------------------------------------------
  const select = () => { // the selected word follows, if the caption still says it; on arrival one is selected
    const words = captionWords();
    if (kept && kept.word) {
      const again = (part) => words.find((word) => same(chosenBy(word), part)) || words.find((word) => word.dataset.word === part.word);
      const found = [...new Set(parts(kept).map(again).filter(Boolean))].map(chosenBy);
      kept = gathered(found) || chosenBy(words[Number(page.dataset.first || 0)]);
    }
    if (!begun && "first" in page.dataset && words.length) {
      const query = new URLSearchParams(window.location.search);
      const asked = (query.get("word") || "").split(" ").map((said) => {
        const [name, nth] = said.split(".");
        return words.filter((word) => word.dataset.word === name)[Number(nth || 1) - 1];
      }).filter(Boolean).map(chosenBy);
      kept = gathered(asked) || chosenBy(words[Number(page.dataset.first)]);
      picked = picked || asked.length > 0;
      const edges = (query.get("region") || "").split(",").map(Number);
      const inside = edges.length === 4 && edges.every((edge) => edge >= 0 && edge <= 1) && edges[0] < edges[2] && edges[1] < edges[3];
      if (inside && query.get("region")) region = edges;
      begun = !linked() || opened;
    }
    all(".ex-stream [data-word]", page).forEach((word) => {
      word.classList.toggle("is-said", words.some((own) => own.dataset.word === word.dataset.word));
    });
  };
  const mount = (root) => {
    const next = root.querySelector(".ex");
    if (!next) return;
    if (!root.dataset.listening) { root.dataset.listening = "yes"; listen(root); }
    page = next;
    const about = JSON.stringify(named.map((name) => page.dataset[name]));
    const changed = Boolean(before && before !== about); // the element stays, its attributes change
    asked = asked || changed;
    before = about;
    preview = null;
    levels = new Map();
    decoded = new Map();
    const bytes = atob(page.dataset.table);
    table = Uint8Array.from(bytes, (sign) => sign.charCodeAt(0));
    for (let i = 0; i < 256; i += 1) levels.set((table[3 * i] << 16) | (table[3 * i + 1] << 8) | table[3 * i + 2], i);
    select();
    if (asked) link(changed && opened);
    waiting(!opened && linked());
    show();
    tour();
  };

  const named = ["caption", "seed", "model", "step", "edits"]; // what a link says; only a training run has a step
  const linked = () => new URLSearchParams(window.location.search).has("caption");
  const link = (push = false) => {
    if (!page || window.location.protocol === "file:") return;
    const query = new URLSearchParams(window.location.search);
    named.forEach((name) => (name in page.dataset ? query.set(name, page.dataset[name]) : query.delete(name)));
    const chosen = picked && kept && kept.word ? parts(kept).map((part) => {
      const alike = captionWords().filter((word) => word.dataset.word === part.word);
      const nth = alike.findIndex((word) => same(chosenBy(word), part)) + 1;
      return nth > 1 ? `${part.word}.${nth}` : part.word;
    }) : [];
    if (chosen.length) query.set("word", chosen.join(" ")); else query.delete("word");
    if (region) query.set("region", region.map((edge) => edge.toFixed(3)).join(",")); else query.delete("region");
    const address = `${window.location.pathname}?${query}`;
    if (push && address !== window.location.pathname + window.location.search) window.history.pushState(null, "", address);
    else window.history.replaceState(window.history.state, "", address);
  };
  window.addEventListener("popstate", () => { // what the address bar says is generated again
    if (!page) return;
    if ("step" in page.dataset || new URLSearchParams(window.location.search).has("step")) { window.location.reload(); return; }
    [opened, begun, kept, region] = [false, false, null, null];
    ask();
    write("#address", window.location.pathname + (window.location.search || "?"));
  });

  const waiting = (yes) => all("#result").forEach((result) => result.classList.toggle("is-generating", yes));
  const ask = () => { asked = true; waiting(true); };
  let done = ""; // the last request that the queue has answered
  const settle = (request, finished) => {
    if (finished) done = request;
    if (request && request !== done) return; // it waits in the queue
    opened = true;
    begun = true;
    waiting(false);
    if (asked && page) link();
  };

  // --- the tour (explorer.tour): one step at a time; a step knows by itself that it was done ---------------------------------------
  const acts = { word: 0, read: 0 }; // what the reader has done so far
  let at = null; // {step, word, read, caption, model}: the step that is shown, and how things were when it began
  const begin = (step) => {
    at = { step, ...acts, caption: page && page.dataset.caption, model: page && page.dataset.model };
    const begun = at, top = window.scrollY;
    [0, 500, 2000].forEach((wait) => setTimeout(() => { // again once all is laid out, unless the reader has scrolled
      if (at === begun && window.scrollY === top) reveal(step);
    }, wait));
  };
  const reveal = (step) => { // what a step points at is not behind the card
    const place = placeOf(step);
    const box = place && place.getBoundingClientRect();
    if (box && (box.top < 0 || box.bottom > window.innerHeight - 220)) place.scrollIntoView({ block: "center" });
  };
  const placeOf = (step) => document.querySelector(all(".ex-tour li")[step].dataset.place);
  const wasDone = {
    word: () => acts.word > at.word,
    mute: () => edits().some((edit) => edit.edit === "mute" && (edit.where || "memory") === "memory"),
    read: () => acts.read > at.read,
    without: () => page.dataset.model !== at.model || document.querySelector('[data-models]:not([data-models="1"])') || edits().some((edit) => edit.edit === "response_gate" && edit.image === 1 && !edit.region),
    caption: () => page.dataset.caption !== at.caption,
  };
  const tour = () => {
    const card = document.querySelector(".ex-tour");
    if (!card || !page) return;
    card.hidden = store.get("explorer-tour") === "off" || closed;
    all(".is-toured").forEach((place) => place.classList.remove("is-toured"));
    if (card.hidden) { at = null; return; }
    if (!at) begin(0);
    const steps = all("li", card);
    steps.forEach((item, k) => { item.hidden = k !== at.step; });
    const step = steps[at.step];
    const place = placeOf(at.step);
    if (place) place.classList.add("is-toured");
    const finished = Boolean(place) && wasDone[step.dataset.step]();
    at.finished = at.finished || finished;
    step.querySelector(".ex-learned-line").hidden = !at.finished;
    step.querySelector(".ex-lacking").hidden = Boolean(place);
    card.querySelector(".ex-tour-count").textContent = `Tour, step ${at.step + 1} of ${steps.length}`;
    card.querySelector('[data-tour="back"]').disabled = at.step === 0;
    const next = card.querySelector('[data-tour="next"]');
    next.classList.toggle("is-main", at.finished || !place);
    next.textContent = at.step === steps.length - 1 ? "Finish" : (at.finished || !place ? "Next" : "Skip this step");
  };
  let closed = false; // where the browser keeps nothing
  const turn = (way) => {
    const last = all(".ex-tour li").length - 1;
    if (way === "end" || (way === "next" && at.step === last)) {
      store.set("explorer-tour", "off");
      closed = true;
      tour();
      toTheTop();
      return;
    }
    begin(at.step + (way === "next" ? 1 : -1));
    tour();
  };

  // --- quiet tools ----------------------------------------------------------------------------------------------------------
  const theme = (name) => document.body.classList.toggle("dark", name === "dark");
  const tools = {
    theme: () => {
      const name = document.body.classList.contains("dark") ? "light" : "dark";
      theme(name);
      store.set("explorer-theme", name);
    },
    about: () => { // the section that says what this model is
      const section = page && page.querySelector(".ex-about");
      if (!section) return;
      section.open = true;
      section.scrollIntoView({ block: "start" });
      section.querySelector("summary").focus({ preventScroll: true });
    },
    tour: () => { store.set("explorer-tour", "on"); closed = false; begin(0); tour(); },
    link: (button) => {
      link();
      const words = button.textContent;
      const told = (answer) => { button.textContent = answer; setTimeout(() => { button.textContent = words; }, 1600); };
      const copied = navigator.clipboard ? navigator.clipboard.writeText(window.location.href) : Promise.reject(new Error("no clipboard"));
      copied.then(() => told("Copied"), () => told("In the address bar"));
    },
  };

  const toTheTop = () => { // what had the focus is gone: the next Tab reaches the first thing of the page
    document.body.tabIndex = -1;
    document.body.focus({ preventScroll: true });
    document.body.addEventListener("blur", () => document.body.removeAttribute("tabindex"), { once: true });
  };

  document.addEventListener("click", (event) => {
    const tool = event.target.closest("[data-do]");
    if (tool) tools[tool.dataset.do](tool);
    const turned = event.target.closest("[data-tour]");
    if (turned) turn(turned.dataset.tour);
    if (event.target.closest(".ex-stream .is-said, .ex-slots summary")) { acts.read += 1; tour(); }
    if (event.target.closest("#generate, #reroll, .ex-example")) ask();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && region) setRegion(null);
    else if (event.key === "Escape" && shown()) { kept = null; preview = null; show(); say(); link(); }
    if (event.key === "Enter" && !event.shiftKey && event.target.closest && event.target.closest("#caption, #seed")) ask();
  });

  if (store.get("explorer-theme")) theme(store.get("explorer-theme"));
  return { mount, settle, tour, reach, handing, save };
})();
