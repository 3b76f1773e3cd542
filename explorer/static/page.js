// What happens to a generated page without asking the server: one selection, laid over the pictures; hints, theme and the link.
// Numbers and colours arrive finished (palette PNGs, data attributes); nothing is computed here but which of them to show.
window.explorerPage = (() => {
  "use strict";
  const store = {
    get: (key) => { try { return localStorage.getItem(key); } catch (error) { return null; } }, // private windows may refuse
    set: (key, value) => { try { localStorage.setItem(key, value); } catch (error) { return; } },
  };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const short = (value) => (value >= 0.0995 ? value.toFixed(2) : value.toFixed(3)).replace(/^0\./, ".");

  // --- one selection: {word, tile} or {path}; a preview (hover, focus) covers the kept one -------------------------------
  let page = null;
  let before = null; // what the page was about when it came last
  let kept = null;
  let preview = null;
  let asked = false; // the reader has generated or chosen something: the address bar follows from now on
  let opened = false; // the link in the address bar, if any, has been followed
  let levels = new Map(); // colour -> position 0..255 in the colour map
  const shown = () => preview || kept;

  const chosenBy = (button) => (button.dataset.path
    ? { path: button.dataset.path }
    : { word: button.dataset.word, tile: Number(button.dataset.tile) });
  const same = (a, b) => Boolean(a && b) && a.path === b.path && a.tile === b.tile && a.word === b.word;

  const draw = (stage, selection) => {
    const picture = stage.querySelector(".ex-picture");
    const canvas = stage.querySelector(".ex-heat");
    if (!canvas) return;
    const source = selection && (selection.path
      ? stage.querySelector(`.ex-path[data-path="${selection.path}"] img`)
      : stage.querySelector(".ex-strip"));
    picture.classList.toggle("is-read", Boolean(source));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!source) return;
    const draw = () => {
      if (!same(selection, shown())) return;
      context.drawImage(source, 0, -(selection.tile || 0) * canvas.height);
    };
    if (source.complete) draw(); else source.addEventListener("load", draw, { once: true });
    tag(stage, selection);
  };

  const tag = (stage, selection, here) => {
    const button = buttonIn(stage, selection);
    const name = selection.path ? `answered by ${selection.path}` : selection.word;
    const rest = selection.path ? `mean ${button.dataset.shown}` : `mean ${button.dataset.mean} · max ${button.dataset.max}`;
    stage.querySelector(".ex-tag").textContent = here === undefined ? `${name} · ${rest}` : `${name} · here ${here}`;
  };

  const buttonIn = (stage, selection) => (selection.path
    ? stage.querySelector(`.ex-path[data-path="${selection.path}"]`)
    : stage.querySelector(`.ex-chip[data-tile="${selection.tile}"]`));

  const show = () => {
    if (!page) return;
    const selection = shown();
    all(".ex-chip, .ex-path", page).forEach((button) => {
      const mine = same(chosenBy(button), selection);
      button.classList.toggle("is-shown", mine);
      button.setAttribute("aria-pressed", String(same(chosenBy(button), kept)));
    });
    all(".ex-stream [data-word], .ex-caption [data-word]", page).forEach((word) => {
      word.classList.toggle("is-shown", Boolean(selection) && word.dataset.word === selection.word);
    });
    all(".ex-stage", page).forEach((stage) => draw(stage, selection));
  };

  const say = () => {
    const stages = all(".ex-stage", page).filter((stage) => kept && buttonIn(stage, kept));
    page.querySelector(".ex-live").textContent = stages.map((stage) => {
      const button = buttonIn(stage, kept);
      return `${stage.getAttribute("aria-label")}: ${button.getAttribute("aria-label")}`;
    }).join("; ");
  };

  const keep = (selection) => {
    kept = same(kept, selection) ? null : selection;
    preview = null;
    show();
    say();
  };

  const pointAt = (event) => {
    const stage = event.target.closest(".ex-stage");
    const selection = shown();
    const canvas = stage.querySelector(".ex-heat");
    const box = canvas.getBoundingClientRect();
    const at = (offset, span, cells) => Math.min(cells - 1, Math.max(0, Math.floor((offset / span) * cells)));
    const x = at(event.clientX - box.left, box.width, canvas.width);
    const y = at(event.clientY - box.top, box.height, canvas.height);
    const [red, green, blue] = canvas.getContext("2d").getImageData(x, y, 1, 1).data;
    const level = levels.get((red << 16) | (green << 8) | blue);
    const top = selection.path ? 1 : Number(stage.querySelector(".ex-picture").dataset.top);
    tag(stage, selection, level === undefined ? "–" : short((level / 255) * top));
  };

  const listen = (root) => {
    const button = (event) => event.target.closest && event.target.closest(".ex-chip, .ex-path");
    const look = (event) => { const hit = button(event); if (hit) { preview = chosenBy(hit); show(); } };
    const leave = (event) => { if (button(event)) { preview = null; show(); } };
    root.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") look(event); });
    root.addEventListener("pointerout", leave);
    root.addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible")) look(event); });
    root.addEventListener("focusout", leave);
    root.addEventListener("click", (event) => { const hit = button(event); if (hit) keep(chosenBy(hit)); });
    root.addEventListener("pointermove", (event) => { if (event.target.closest(".ex-picture.is-read")) pointAt(event); });
    root.addEventListener("pointerout", (event) => {
      const picture = event.target.closest(".ex-picture.is-read");
      if (picture) tag(picture.closest(".ex-stage"), shown());
    });
    root.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const hit = step && button(event);
      if (!hit) return;
      const row = all(hit.matches(".ex-chip") ? ".ex-chip" : ".ex-path", hit.parentElement);
      row[(row.indexOf(hit) + step + row.length) % row.length].focus();
      event.preventDefault();
    });
  };

  // --- a new page came from the server -------------------------------------------------------------------------------------
  const mount = (root) => {
    const next = root.querySelector(".ex");
    if (!next) return;
    if (!root.dataset.listening) { root.dataset.listening = "yes"; listen(root); }
    page = next;
    const about = JSON.stringify(named.map((name) => page.dataset[name]));
    asked = asked || Boolean(before && before !== about); // the element stays, its attributes change
    before = about;
    preview = null;
    levels = new Map();
    const table = atob(page.dataset.table);
    for (let i = 0; i < 256; i += 1) {
      levels.set((table.charCodeAt(3 * i) << 16) | (table.charCodeAt(3 * i + 1) << 8) | table.charCodeAt(3 * i + 2), i);
    }
    if (kept && kept.word) { // the selected word follows into the next picture, if the caption still says it
      const again = all(".ex-chip", page).find((chip) => chip.dataset.word === kept.word);
      kept = again ? chosenBy(again) : null;
    }
    if (asked) link();
    waiting(!opened && linked());
    hint();
    show();
  };

  const named = ["caption", "seed", "model", "step"]; // what a link says; only a training run has a step
  const linked = () => new URLSearchParams(window.location.search).has("caption");
  const link = () => {
    const query = new URLSearchParams(window.location.search);
    named.forEach((name) => (name in page.dataset ? query.set(name, page.dataset[name]) : query.delete(name)));
    window.history.replaceState(window.history.state, "", `${window.location.pathname}?${query}`);
  };

  const waiting = (yes) => all("#result").forEach((result) => result.classList.toggle("is-generating", yes));
  const ask = () => { asked = true; waiting(true); };
  const settle = () => { opened = true; waiting(false); if (asked && page) link(); };

  // --- quiet tools ----------------------------------------------------------------------------------------------------------
  const theme = (name) => document.body.classList.toggle("dark", name === "dark");
  const wanted = () => store.get("explorer-hints") !== "off"; // until they have been dismissed once
  const hint = () => {
    const items = all(".ex-hints li").filter((item) => !item.hidden).map((item) => item.dataset.hint);
    all(".ex-hints").forEach((list) => list.classList.toggle("is-on", wanted()));
    all(".ex-anchor").forEach((anchor) => anchor.classList.toggle("is-on", wanted() && items.includes(anchor.dataset.hint)));
  };
  const tools = {
    theme: () => {
      const name = document.body.classList.contains("dark") ? "light" : "dark";
      theme(name);
      store.set("explorer-theme", name);
    },
    hints: () => {
      all(".ex-hints li").forEach((item) => { item.hidden = false; });
      store.set("explorer-hints", wanted() ? "off" : "on");
      hint();
    },
    link: (button) => {
      link();
      const words = button.textContent;
      const told = (answer) => { button.textContent = answer; setTimeout(() => { button.textContent = words; }, 1600); };
      const copied = navigator.clipboard ? navigator.clipboard.writeText(window.location.href) : Promise.reject(new Error("no clipboard"));
      copied.then(() => told("Copied"), () => told("In the address bar"));
    },
  };

  document.addEventListener("click", (event) => {
    const tool = event.target.closest("[data-do]");
    if (tool) tools[tool.dataset.do](tool);
    const dismissed = event.target.closest(".ex-hints li button");
    if (dismissed) {
      dismissed.closest("li").hidden = true;
      if (all(".ex-hints li").every((item) => item.hidden)) store.set("explorer-hints", "off");
      hint();
    }
    if (event.target.closest("#generate, #reroll, .ex-example")) ask();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && shown()) { kept = null; preview = null; show(); say(); }
    if (event.key === "Enter" && !event.shiftKey && event.target.closest && event.target.closest("#caption, #seed")) ask();
  });

  if (store.get("explorer-theme")) theme(store.get("explorer-theme"));
  return { mount, settle, hint };
})();
