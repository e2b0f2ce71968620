"""How much each phone says: rare ones are seldom heard by chance."""

__all__ = ["WEIGHTS"]

# fmt: off
WEIGHTS = {
    "AA": 1.25, "AE": 1.06, "AH": 0.69, "AO": 1.26, "AW": 1.52, "AY": 1.19, "B": 1.20, "CH": 1.55, "D": 0.91,
    "DH": 1.04, "EH": 1.06, "ER": 1.08, "EY": 1.21, "F": 1.19, "G": 1.40, "HH": 1.13, "IH": 0.82, "IY": 0.96,
    "JH": 1.58, "K": 1.06, "L": 0.97, "M": 1.04, "N": 0.79, "NG": 1.37, "OW": 1.28, "OY": 2.02, "P": 1.19, "R": 0.94,
    "S": 0.92, "SH": 1.42, "T": 0.79, "TH": 1.51, "UH": 1.56, "UW": 1.24, "V": 1.18, "W": 1.11, "Y": 1.44, "Z": 1.05,
    "ZH": 2.25,
}
# fmt: on
"""For each ARPAbet phone the negative logarithm of its share of English speech, 1 on average over speech.

Counted over 371,273 phones of the sentences that the default model is trained on.
"""
