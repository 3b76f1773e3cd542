"""What one optimiser step does in matching and captioning; the adversarial step is in :mod:`dmm.training.adversarial`.

* matching (DAMSM, AttnGAN, Eqs. 6-14): text encoder and image encoder learn to find each other;
* captioning (STREAM of MirrorGAN and DMM-GAN): a captioner learns to read pictures.

Every step draws its batch, noise and augmentation from (seed, step number) alone, so a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from dmm.aviary.traits import COLOURED_PARTS, COLOURS
from dmm.checkpoint import CheckpointError, build, build_captioner, compare, load_parts, write
from dmm.config import Config, ConfigError, TrainConfig
from dmm.convert.trunks import load_trunk, published_trunk
from dmm.data.batch import Batch
from dmm.losses.cloze import MaskedCaptions, cloze_loss
from dmm.losses.stream import caption_loss, repetition_loss
from dmm.losses.total import total
from dmm.matching import matching_losses
from dmm.models.captioner import CaptionDecoder
from dmm.models.image_encoder import CaptionEncoder, SmallImageEncoder
from dmm.models.part_colours import PartColours
from dmm.training.augment import augment
from dmm.training.data import TrainingData
from dmm.training.optimisation import descend, lr_at
from dmm.training.precision import autocast, layout, resolve, scaler
from dmm.training.ranks import Ranks, gathering, share_batch_norms
from dmm.training.rng import Purpose, StepRandom, seed_dropout, step_rng
from dmm.training.transfer import ScalarLog, images_to_device, split_batch, to_device


class EncoderStep:
    """What matching and captioning share: networks, one Adam, one learning-rate line, pictures at the encoder's own size.

    Args:
        config: the run.
        networks: name -> network; all are trained.
        shipped: the names that the exported model holds.
        untrained: the image encoder that no earlier run has trained, if there is one; :meth:`begin` fills its trunk if it is a frozen one.
    """

    label = "encoder"
    reads_pictures = True  # False: the step has all it needs from the pictures already
    encoder = "image_encoder"  # field of ModelConfig that names the encoder which reads the pictures

    def __init__(
        self,
        config: Config,
        data: TrainingData,
        networks: dict[str, nn.Module],
        shipped: tuple[str, ...],
        untrained: nn.Module | None = None,
    ):
        self.config, self.data, self.shipped = config, data, shipped
        self.ranks = Ranks.find(config.train.device)
        self.dtype = resolve(config.train.precision, self.ranks.device)
        self.scaler = scaler(self.dtype, self.ranks.device)
        self.networks = {name: layout(network, self.dtype).to(self.ranks.device) for name, network in networks.items()}
        for network in self.networks.values():
            share_batch_norms(network, self.ranks)
        self.parameters = [p for network in networks.values() for p in network.parameters() if p.requires_grad]
        settings = config.train
        self.optimiser = torch.optim.Adam(self.parameters, settings.generator_lr, (settings.beta1, settings.beta2), fused=True)
        self.untrained = untrained
        self.trunk: dict[str, str] = {}  # file and hash of the weights that its trunk was filled with
        self.seen: dict[str, Tensor] = {}  # values to log beside the terms
        wanted = config.model.encoder_size if getattr(config.model, self.encoder) == "small" else max(config.data.sizes)
        self.size = min(s for s in config.data.sizes if s >= min(wanted, max(config.data.sizes)))
        if self.reads_pictures:
            data.hold(self.ranks.device, [self.size])

    def begin(self) -> None:
        """Fill the frozen trunk of a new run; a run that goes on has it in its checkpoint.

        Raises:
            ConfigError, ConvertError: as of :func:`dmm.convert.trunks.load_trunk`, or a trunk for encoders that have none.
        """
        model = self.config.model
        if self.untrained is not None and published_trunk(self.untrained):
            self.trunk = load_trunk(self.untrained, model.trunk)
        elif model.trunk and {model.image_encoder, model.caption_encoder} == {"small"}:
            raise ConfigError("model.trunk: the small image encoders are trained from the start; leave it out")

    def losses(self, batch: Batch, images: Tensor | None, rng: StepRandom) -> dict[str, Tensor]:
        """Named weighted terms."""
        raise NotImplementedError

    def pictures(self, batch: Batch, rng: torch.Generator) -> Tensor:
        """This process's share of the batch's pictures at the encoder's size, augmented, b 3 S S."""
        images = batch.images.read(self.ranks.share(len(batch)))[self.size]
        return augment(images_to_device(images, self.ranks.device), self.config.train.augment, rng)

    def update(self, index: int) -> dict[str, float]:
        """One step of Adam on the sum of the terms."""
        settings = self.config.train
        seed_dropout(settings.seed, index)
        batch = self.data.batch(index, settings.batch, (self.size,) if self.reads_pictures else ())
        for network in self.networks.values():
            network.train()
        values = ScalarLog()
        self.optimiser.zero_grad(set_to_none=True)
        rng = StepRandom(settings.seed, index)
        for part in split_batch(batch, settings.accumulate):
            images = self.pictures(part, rng(Purpose.AUGMENTATION, self.ranks)) if self.reads_pictures else None
            with autocast(self.dtype, self.ranks.device):
                terms = self.losses(to_device(part, self.ranks.device), images, rng)
            loss = total(terms.values())
            self.scaler.scale(loss / settings.accumulate).backward()
            values.add({"loss": loss} | terms)
        for group in self.optimiser.param_groups:
            group["lr"] = lr_at(settings.generator_lr, settings.lr_end_factor, index, settings.steps)
        descend(self.optimiser, self.parameters, self.ranks, self.scaler, settings.clip)
        self.scaler.update()
        values.add(self.seen)
        return values.read()

    def optimisers(self) -> list[tuple[torch.optim.Optimizer, float]]:
        """The one Adam, with the learning rate that it starts with."""
        return [(self.optimiser, self.config.train.generator_lr)]

    def batch_at(self, index: int) -> int:
        """Pictures in step ``index``."""
        return self.config.train.batch

    def sample(self, directory: Path, index: int) -> None:
        """Encoders generate nothing."""

    def trace(self, directory: Path, index: int) -> None:
        """Encoders have no trace."""

    def evaluate(self) -> dict[str, float]:
        """Encoders are measured by their losses."""
        return {}

    def export(self, directory: Path, card: dict) -> None:
        """Write the networks that later training and the explorer need."""
        for network in self.networks.values():
            network.eval()
        networks = {name: self.networks[name] for name in self.shipped}
        write(directory, networks, self.config.model, self.data.vocab, card | ({"trunk": self.trunk} if self.trunk else {}), weights="fp32")

    def state_dict(self) -> dict:
        """Networks and optimiser."""
        networks = {name: network.state_dict() for name, network in self.networks.items()}
        state = {"networks": networks, "optimiser": self.optimiser.state_dict(), "trunk": self.trunk}
        return state | ({"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {})

    def load_state_dict(self, state: dict) -> None:
        """The inverse of :meth:`state_dict`."""
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.trunk = state.get("trunk", {})
        if self.scaler.is_enabled() and "scaler" in state:
            self.scaler.load_state_dict(state["scaler"])


def _check_classes(data: TrainingData, settings: TrainConfig) -> None:
    """Refuse what matching cannot learn from: it tells the pictures of one class from those of others in the micro-batch.

    Raises:
        ConfigError: micro-batches of one, or all pictures of one class.
    """
    if settings.batch // settings.accumulate < 2:
        pieces = f" in each of {settings.accumulate} micro-batches (train.accumulate)" if settings.accumulate > 1 else ""
        raise ConfigError(
            f"train.batch: matching tells pictures apart that it reads together; expected at least 2{pieces}, found {settings.batch}"
        )
    count = len(data.cache)
    first = data.cache.class_id(0)
    if all(data.cache.class_id(index) == first for index in range(1, count)):
        found = "one picture" if count == 1 else f"{count} pictures of one class"
        raise ConfigError(
            f"data.source: matching tells pictures of different classes apart, found {found} to train on; leave their labels out, "
            "and each picture is a class of its own"
        )


class MatchStep(EncoderStep):
    """DAMSM, with four optional aids.

    ``cloze`` names masked words from the picture, ``recall`` from the sentence feature, and ``reconstruct`` re-writes the whole caption
    from it: the features then hold what picture and caption say, not only what tells them from the others of a batch. ``part_colours``,
    where the data set knows them, has the colour of each part named from the picture, and those that the caption gives from the sentence
    feature, by a linear layer: conditioning augmentation is one too, and a generator shows what it can tell apart. A frozen encoder
    (``frozen_encoder``, ``frozen_text``) is left out of it.

    Args:
        config: the run.
        start: checkpoint of an earlier matching run to go on from.
    """

    label = "match"

    def __init__(self, config: Config, start: str | Path | None = None):
        torch.manual_seed(config.train.seed)
        settings, model = config.train, config.model
        names = ("text_encoder", "image_encoder") + (("cloze",) if settings.cloze else ())
        if start is not None:
            networks, _, vocab = load_parts(start, names)
            data = TrainingData(config, vocab)
        else:
            data = TrainingData(config)
            networks = {part: build(part, model, data.vocab) for part in names}
        _check_classes(data, settings)
        for name, frozen in (("image_encoder", settings.frozen_encoder), ("text_encoder", settings.frozen_text)):
            if frozen:  # what an encoder is built without gradients stays without
                networks[name].requires_grad_(False)
        if settings.part_colours:
            networks["part_colours"] = PartColours(model.text_dim, len(COLOURED_PARTS), len(COLOURS))
            networks["told_colours"] = nn.Linear(model.text_dim, len(COLOURED_PARTS) * len(COLOURS))
        if settings.recall:
            networks["recaller"] = build("cloze", model, data.vocab)
        if settings.reconstruct:
            networks["rewriter"] = CaptionDecoder(len(data.vocab), model.text_dim, model.caption_hidden)
        super().__init__(config, data, networks, names, networks["image_encoder"] if start is None else None)

    def losses(self, batch: Batch, images: Tensor | None, rng: StepRandom) -> dict[str, Tensor]:
        """Four matching terms; the masked-word and re-writing terms if asked for."""
        settings = self.config.train
        if settings.frozen_text:
            self.networks["text_encoder"].eval()
        words, sentence = self.networks["text_encoder"](batch.captions, batch.lengths)
        if settings.frozen_encoder:
            self.networks["image_encoder"].eval()
        regions, embedding = gathering(self.networks["image_encoder"], self.ranks)(images)
        gammas = settings.gamma1, settings.gamma2, settings.gamma3
        terms = matching_losses(regions, embedding, words, sentence, batch.lengths, batch.class_ids, *gammas)
        del terms["total"]
        if settings.cloze:
            chosen = self._masked(batch, settings.cloze_variants, rng(Purpose.MASKED_WORDS))
            read = cloze_loss(self.networks["cloze"], regions, chosen)
            terms["cloze"] = settings.cloze * read["total"]
            self.seen["cloze_accuracy"] = read["accuracy"]
        if settings.part_colours and not settings.frozen_encoder:
            logits, truth = self.networks["part_colours"](regions), self.data.part_colours(batch.indices).to(regions.device)  # B P K
            terms["part_colours"] = settings.part_colours * F.cross_entropy(logits.flatten(0, 1), truth.flatten(0, 1))
            self.seen["colour_accuracy"] = (logits.argmax(2) == truth.argmax(2)).float().mean()
        return terms | self._aids(batch, sentence, rng)

    def _told_colours(self, batch: Batch, sentence: Tensor) -> Tensor:
        """Cross-entropy of the colours that the captions give to parts, read off the sentence features B D by a linear layer."""
        logits = self.networks["told_colours"](sentence).unflatten(1, (len(COLOURED_PARTS), len(COLOURS)))  # B P K
        truth = self.data.told_colours(batch).to(sentence.device)  # B P K, rows of zeros where the caption is silent
        told = truth.sum(2) > 0
        self.seen["told_accuracy"] = (logits.argmax(2) == truth.argmax(2))[told].float().mean()
        return F.cross_entropy(logits[told], truth[told]) if told.any() else logits.sum() * 0

    def _masked(self, batch: Batch, variants: int, rng: torch.Generator) -> MaskedCaptions:
        """Captions with words taken out; chosen on the CPU, so that every device gets the same."""
        return to_device(self.data.mask_words(to_device(batch, torch.device("cpu")), variants, rng), self.ranks.device)

    def _aids(self, batch: Batch, sentence: Tensor, rng: StepRandom) -> dict[str, Tensor]:
        """What the sentence features of this batch, and of ``text_batch`` further captions, can say by themselves."""
        settings = self.config.train
        read_from = [(batch, sentence)]
        if settings.text_batch and (settings.reconstruct or settings.recall or settings.part_colours):
            more = to_device(self.data.batch(rng.index, settings.text_batch, ()), self.ranks.device)
            read_from.append((more, self.networks["text_encoder"](more.captions, more.lengths)[1]))
        terms: dict[str, Tensor] = {}
        for number, (captions, feature) in enumerate(read_from):
            if settings.reconstruct:
                logits = self.networks["rewriter"](feature, captions.captions, captions.lengths)
                loss = caption_loss(logits, captions.captions, captions.lengths)
                terms["reconstruct"] = terms.get("reconstruct", 0) + settings.reconstruct * loss / len(read_from)
            if settings.recall:
                chosen = self._masked(captions, 2, rng(Purpose.RECALLED_WORDS, part=number))
                read = cloze_loss(self.networks["recaller"], feature[:, :, None, None], chosen)
                terms["recall"] = terms.get("recall", 0) + settings.recall * read["total"] / len(read_from)
                self.seen["recall_accuracy"] = read["accuracy"]
            if settings.part_colours and not settings.frozen_text:
                loss = self._told_colours(captions, feature)
                terms["told_colours"] = terms.get("told_colours", 0) + settings.part_colours * loss / len(read_from)
        return terms


class CaptionStep(EncoderStep):
    """STREAM's captioner on real pictures.

    ``part_colours``, where the data set knows them, has a linear layer name the colour of each part from the image embedding: the decoder
    sees nothing of the picture but that, and that only once.

    Args:
        config: the run.
        match: checkpoint of the matching run, if its image encoder is to be the captioner's starting point.
    """

    label = "caption"
    encoder = "caption_encoder"

    def __init__(self, config: Config, match: str | Path | None = None):
        torch.manual_seed(config.train.seed + 1)
        if match is None and config.train.frozen_encoder:
            raise ConfigError("train.frozen_encoder: expected the matching run whose image encoder is to be kept, found none; give --match")
        if match is not None:
            parts, _, vocab = load_parts(match, ("image_encoder",))
            data = TrainingData(config, vocab)
            captioner = build_captioner(config.model, vocab)
            same = self._adopt(captioner.encoder, parts["image_encoder"], config, match)
        else:
            data = TrainingData(config)
            captioner, same = build_captioner(config.model, data.vocab), False
        if config.train.frozen_encoder and not same and published_trunk(captioner.encoder) is None:
            raise CheckpointError(f"{match}: train.frozen_encoder: its image encoder is of another kind than the captioner's")
        networks: dict[str, nn.Module] = {"captioner": captioner}
        if config.train.part_colours:
            attention, width = captioner.decoder.attention, config.model.caption_embedding
            shape = (width, len(COLOURED_PARTS) * len(COLOURS)) if attention is None else (attention.memory.in_features, len(COLOURS))
            networks["seen_colours"] = nn.Linear(*shape)
        self.captioner = captioner
        self.reads_pictures = not config.train.frozen_encoder
        super().__init__(config, data, networks, ("captioner",), None if same else captioner.encoder)
        self.maps: Tensor | None = None  # what a frozen trunk sees, read before the first update
        if config.train.frozen_encoder:
            if isinstance(captioner.encoder.code, nn.Module):  # an encoder whose `code` is no module of its own has a trunk built frozen
                captioner.encoder.requires_grad_(False)
                captioner.encoder.code.requires_grad_(True)

    @staticmethod
    def _adopt(encoder: CaptionEncoder, found: nn.Module, config: Config, match: str | Path) -> bool:
        """Start from a matching run's image encoder, if it is of the captioner's kind; its heads stay new where they have another size.

        Raises:
            CheckpointError: an encoder of that kind and of another width.
        """
        if not (isinstance(encoder, SmallImageEncoder) and isinstance(found, SmallImageEncoder)):
            return False
        state = found.state_dict()
        if config.model.caption_embedding != found.text_dim:
            state |= {key: value for key, value in encoder.state_dict().items() if key.startswith(("regions.", "code."))}
        problems = compare(encoder, state)
        if problems:
            raise CheckpointError(f"{match}: its image encoder is no start for the captioner: {problems}; train both with one recipe")
        encoder.load_state_dict(state)
        return True

    @torch.no_grad()
    def _maps(self, encoder: CaptionEncoder, whole: bool, versions: int = 2, size: int = 64) -> Tensor:
        """What the frozen trunk sees in every training picture, augmented in ``versions`` ways, computed once, each rank its share.

        Summaries, V N F; with ``whole``, the maps that they are made from, V N C 8 8 in fp16.
        """
        count, device = len(self.data.cache), self.ranks.device
        chunks = [(version, range(start, min(start + size, count))) for version in range(versions) for start in range(0, count, size)]

        def look(images: Tensor) -> Tensor:
            return encoder.features(images).half() if whole else encoder.summary(encoder.features(images))

        shape = look(torch.zeros(1, 3, self.size, self.size, device=device))[0]
        found = shape.new_zeros(versions, count, *shape.shape)
        for version, rows in tqdm(chunks[self.ranks.rank :: self.ranks.world], "pictures", disable=not sys.stderr.isatty()):
            rng = step_rng(self.config.train.seed, version * count + rows.start, Purpose.FROZEN_AUGMENTATION, Ranks(device))
            pictures = augment(images_to_device(self.data.cache.images(self.size, rows), device), self.config.train.augment, rng)
            found[version, rows.start : rows.stop] = look(pictures)
        return self.ranks.sum(found)

    def _seen(self, encoder: CaptionEncoder, batch: Batch, images: Tensor | None, index: int) -> tuple[Tensor | None, Tensor]:
        """Regions B E 8 8, None if nothing reads them, and embedding B E of the batch's pictures."""
        if self.maps is None:
            return gathering(encoder, self.ranks)(images)
        maps = self.maps[index % len(self.maps), batch.indices]
        if maps.dim() == 2:
            return None, encoder.code(maps)
        maps = maps.float()
        assert isinstance(encoder, SmallImageEncoder), "others have no regions"
        return encoder.regions(maps + encoder.positions), encoder.code(encoder.summary(maps))

    def read_pictures(self) -> None:
        """Compute what a frozen trunk sees in the training pictures, once; nothing to do for a trunk that is trained."""
        if self.config.train.frozen_encoder and self.maps is None:
            captioner = self.captioner
            self.maps = self._maps(captioner.encoder.eval(), captioner.decoder.attention is not None)

    def update(self, index: int) -> dict[str, float]:
        """As of every encoder."""
        self.read_pictures()
        return super().update(index)

    def losses(self, batch: Batch, images: Tensor | None, rng: StepRandom) -> dict[str, Tensor]:
        """Cross-entropy of the caption given the picture."""
        captioner = self.captioner
        regions, embedding = self._seen(captioner.encoder, batch, images, rng.index)
        logits = captioner.decoder(embedding, batch.captions, batch.lengths, regions)
        terms = {"caption": caption_loss(logits, batch.captions, batch.lengths)}
        if self.config.train.unlikelihood:
            terms["repetition"] = self.config.train.unlikelihood * repetition_loss(logits, batch.captions, batch.lengths)
        if self.config.train.content:
            targets = batch.captions[:, : logits.shape[1]]
            content = torch.isin(targets, self.data.content.to(targets.device))
        if self.config.train.content and content.any():
            terms["content"] = self.config.train.content * F.cross_entropy(logits[content], targets[content])
            self.seen["content_accuracy"] = (logits[content].argmax(1) == targets[content]).float().mean()
        if self.config.train.part_colours:
            views = captioner.decoder.views(regions)  # B V width; a view for each part, then some without
            seen = self.networks["seen_colours"](embedding if views is None else views[:, : len(COLOURED_PARTS)])
            seen = seen.reshape(len(seen), len(COLOURED_PARTS), len(COLOURS))
            truth = self.data.part_colours(batch.indices).to(seen.device)
            terms["part_colours"] = self.config.train.part_colours * F.cross_entropy(seen.flatten(0, 1), truth.flatten(0, 1))
            self.seen["colour_accuracy"] = (seen.argmax(2) == truth.argmax(2)).float().mean()
        return terms
