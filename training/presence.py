"""Teach the network to tell whether there is a subject at all: `python -m training.presence RUN --share SHARE`.

Only `network.Presence` learns, from the means of the deep maps; everything else stays, so that a photo with a subject keeps its mask. Where it
begins to act is chosen so that of the photos to choose by that have a subject one in two hundred is touched; how strongly, so that
the surest tenth of those without one loses STRENGTH. The result lies in `runs/RUN/presence.pt`, and `training.export` takes it along.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from liftout.tuning.network import PocketNetwork, Presence, halve
from training.photos import RUNS
from training.targets import PAGE, PAGES, Targets, open_targets
from training.train import View, between, take

COUNTS = {"labelled": 1600, "small teacher": 500, "true": 145, "empty": 1000, "bare": 400, "page": 700}
"""Photos of each kind that are looked at; of few, some twice, in another part and light."""
TOUCHED = 0.005
"""Share of the photos with a subject on which it may act."""
STRENGTH = 16.0
"""Logits; the network's own, a sum of two, seldom pass 16."""
SMALLEST_SUBJECT = 0.02
"""Mean alpha of the teacher from which a photo has a subject; less may be either."""
EPOCHS = 150
PAGES_TO_CHOOSE = 40


@dataclass(frozen=True)
class Seen:
    """means: float32 [N, 256, 1, 1]. absent: bool [N]."""

    means: Tensor
    absent: Tensor


def look(network: PocketNetwork, targets: Targets, names: list[str], views: list[View] | None, precision: str) -> Seen:
    """Run the network on photos, each as its view says."""
    means, absent = [], []
    for start in range(0, len(names), 8):
        some = names[start : start + 8]
        batch = take(targets, some, views[start : start + 8] if views else None)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            means.append(network.depth(halve(network.encoder(batch.photos)))[2].float())
        absent += [not bool(alpha.any()) for alpha in batch.alphas]
        if start // 8 % 50 == 0:
            print(f"{start} of {len(names)} photos", flush=True)
    return Seen(torch.cat(means), torch.tensor(absent))


def to_learn(targets: Targets, seed: int = 3) -> tuple[list[str], list[View]]:
    """Names and views to learn from; photos whose subject is doubtful are left out."""
    chance, names = np.random.default_rng(seed), list[str]()
    for kind, count in COUNTS.items():
        known = targets.training(kind)
        if kind == "labelled":
            known = [name for name in known if targets.alpha(name).mean() > SMALLEST_SUBJECT]
        drawn = [known[k] for k in chance.permutation(len(known))]
        names += (drawn * (count // max(1, len(drawn)) + 1))[:count] if drawn else []
    return names, [View.draw(chance, 0.3) for _ in names]


def learn(seen: Seen, seed: int = 3) -> Presence:
    """Fit to what was seen; both kinds count alike."""
    torch.manual_seed(seed)
    presence = Presence()
    spread, middle = seen.means.std(0, keepdim=True).clamp_min(1e-3), seen.means.mean(0, keepdim=True)
    for layer in (presence.first, presence.second):
        nn.init.kaiming_normal_(layer.weight)
    optimizer = torch.optim.AdamW(presence.parameters(), 1e-3, weight_decay=0.05)
    weight = (~seen.absent).sum() / seen.absent.sum()
    inputs = (seen.means - middle) / spread
    for _ in range(EPOCHS):
        for part in torch.randperm(len(inputs)).split(128):
            noisy = inputs[part] + 0.3 * torch.randn_like(inputs[part])
            guess = presence.absence(noisy)[:, 0, 0, 0]
            loss = functional.binary_cross_entropy_with_logits(guess, seen.absent[part].float(), pos_weight=weight)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():  # the network's own means go in
        first = presence.first
        first.weight.div_(spread.reshape(1, -1, 1, 1))
        first.bias.sub_((first.weight * middle.reshape(1, -1, 1, 1)).sum((1, 2, 3)))  # type: ignore[union-attr]
    return presence


def settle(presence: Presence, seen: Seen) -> None:
    """Choose where it begins to act, and how strongly, on photos that nothing was learnt from."""
    with torch.no_grad():
        guess = presence.absence(seen.means)[:, 0, 0, 0]
        threshold = guess[~seen.absent].quantile(1 - TOUCHED)
        surest = (guess[seen.absent].quantile(0.9) - threshold).clamp_min(1e-3)
        presence.second.bias.sub_(threshold)  # type: ignore[union-attr]
        for values in presence.second.parameters():
            values.mul_(STRENGTH / surest)
        reached = (guess[seen.absent] > threshold).float().mean()
        print(f"{reached:.0%} of {int(seen.absent.sum())} without a subject are told apart", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="name of the run, a folder in runs/")
    parser.add_argument("--share", type=float, default=1.0, help="how far from the run's start, 0, to its end, 1")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    targets = open_targets()
    network = between(options.runs / options.run, options.share).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    presence = learn(look(network, targets, *to_learn(targets), options.precision))
    choosing = [
        name
        for name in targets.judging
        if targets.kinds[name] == "empty" or targets.alpha(name).mean() > SMALLEST_SUBJECT
    ]
    pages = [f"{PAGE}{number}" for number in range(PAGES, PAGES + PAGES_TO_CHOOSE)]
    settle(presence, look(network, targets, [*choosing, *pages], None, options.precision))
    partial = options.runs / options.run / "presence.part"
    torch.save({"share": options.share, "presence": presence.state_dict()}, partial)
    partial.replace(partial.with_name("presence.pt"))


if __name__ == "__main__":
    main()
