import numpy as np

from streamcell.runtime.frames import log_softmax


def test_log_softmax_sums_to_one() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32) * 100
    np.testing.assert_allclose(np.exp(log_softmax(logits)).sum(-1), 1, rtol=1e-6)
