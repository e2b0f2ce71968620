"""Cut out of a phoneme model what the digit network begins with: convolutions and the first recurrent layer.

    git show 348c178:runtime/streamcell/runtime/models/phonemes-en.onnx > phonemes-30ms.onnx
    python samples/digits/begin.py --model phonemes-30ms.onnx --out samples/digits/begin.npz

The model is the `phonemes-en` of an earlier commit, whose frames last 30 ms, as those of the digits do; the one that
comes with the package now has frames of 40 ms. The model hears 16 kHz, the digits are at 8 kHz. The first 31 of its 40
mel bins, those below 4 kHz, lie nearly where the 31 bins of the recipe lie; the others count as silent, as they are in
a telephone call.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

MELS = 31
KERNEL = 5  # of the second convolution, spectra: two more than a frame of 30 ms has
LOUDER = math.log(4)  # in a window of twice as many samples: twice the amplitude, four times the power
FLOOR = math.log(1e-5)  # of a mel bin without sound, see `LogMel`

Weights = NDArray[np.float32]


def weights_of(model: Path, mels: int = MELS) -> dict[str, Weights]:
    """Return the weights of a phoneme model's front and first layer, for `mels` bins, as `SequenceNet` names them.

    Raises:
        ValueError: its frames do not last 30 ms.
    """
    given = {one.name: numpy_helper.to_array(one) for one in onnx.load(model).graph.initializer}
    mean, scale = given["standardise.mean"], given["standardise.scale"]
    conv0 = _kernel(given["conv0.weight"], len(mean))
    conv1 = _kernel(given["conv1.weight"], len(conv0))
    if conv1.shape[2] != KERNEL:
        raise ValueError(f"{model}: expected frames of 30 ms, as the recipe has, got {10 * (conv1.shape[2] - 2)} ms")
    silent = (np.float32(FLOOR) - mean[mels:]) / scale[mels:]
    return {
        "front.standardise.mean": mean[:mels] - np.float32(LOUDER),
        "front.standardise.scale": scale[:mels],
        "front.conv0.conv.weight": conv0[:, :mels],
        "front.conv0.conv.bias": given["conv0.bias"] + (conv0[:, mels:] * silent[:, None]).sum((1, 2)),
        "front.conv1.conv.weight": conv1,
        "front.conv1.conv.bias": given["conv1.bias"],
        **{name: given[name] for name in ("stack.norms.0.weight", "stack.norms.0.bias", "norm.weight", "norm.bias")},
        **_gru(given, "stack.layers.0"),
    }


def _kernel(matrix: Weights, inputs: int) -> Weights:
    """Return `[out, in, kernel]` of the exported `[kernel * in, out]`."""
    return matrix.reshape(-1, inputs, matrix.shape[1]).transpose(2, 1, 0)


def _gru(given: dict[str, Weights], name: str) -> dict[str, Weights]:
    """Return a GRU's weights with the gates in torch's order r, z, n; ONNX has z, r, n."""
    into, back = given[f"{name}.weight_ih"][0], given[f"{name}.weight_hh"][0]
    of_input, of_state = np.split(given[f"{name}.bias"][0], 2)
    parts = {"weight_ih_l0": into, "weight_hh_l0": back, "bias_ih_l0": of_input, "bias_hh_l0": of_state}
    return {f"{name}.{part}": np.concatenate([np.split(x, 3)[gate] for gate in (1, 0, 2)]) for part, x in parts.items()}


def main() -> None:
    """Parse, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the phoneme model, of 30 ms a frame")
    parser.add_argument("--out", type=Path, required=True, help="file for the weights, .npz")
    args = parser.parse_args()
    try:
        weights: dict[str, Any] = {**weights_of(args.model)}
    except ValueError as error:
        parser.error(str(error))
    np.savez_compressed(args.out, **weights)


if __name__ == "__main__":
    main()
