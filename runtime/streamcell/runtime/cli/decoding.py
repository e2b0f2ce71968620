"""How a model's answers are decoded, where a command is asked for another way than the model's own."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamcell.runtime.cli import options
from streamcell.runtime.errors import InputError, ModelError

if TYPE_CHECKING:
    from streamcell.runtime.model import Model


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """Declare ``--lm``, ``--lexicon``, ``--dictionary`` and ``--pause``."""
    beam = "decode by beam search with an n-gram of phones, which `streamcell lm` makes: fewer errors, a fifth slower"
    parser.add_argument("--lm", metavar="FILE.arpa", help=beam)
    words = "tell words, none but those of this file: one a line, or a phrase, with phones behind two spaces or a tab"
    parser.add_argument("--lexicon", metavar="FILE", help=f"{words}, or as --dictionary has them")
    parser.add_argument("--dictionary", metavar="FILE", help="a pronouncing dictionary in the CMU format")
    pause = "group into utterances, which end where nothing is said for S seconds, e.g. 0.6"
    parser.add_argument("--pause", type=options.seconds, metavar="S", help=pause)


def decoded(args: argparse.Namespace, model: "Model") -> "Model":
    """Return the model with the decoder that `add_decoding` was asked for.

    Raises:
        InputError: If a file cannot be read or does not fit the model, or options exclude each other.
        ModelError: If the model's own decoder does not fit it.
    """
    from streamcell.runtime.decode import make_decoder

    make_decoder(model.manifest)
    settings = _settings(args, model)
    if args.pause is not None:
        settings = {**(settings or model.manifest.decoder), "utterances": {"pause": args.pause}}
    model = model if settings is None else model.with_decoder(settings)
    try:
        make_decoder(model.manifest)  # now, not with the first file
    except ModelError as error:
        asked = f"--lm {args.lm}" if args.lm else f"--lexicon {args.lexicon}"
        raise InputError(f"{asked} does not go with {model.manifest.name}: {error.__cause__ or error}") from error
    return model


def _settings(args: argparse.Namespace, model: "Model") -> dict[str, Any] | None:
    """Return the settings of the decoder that is asked for, or None."""
    if args.dictionary and not args.lexicon:
        raise InputError("--dictionary says how the words of a --lexicon are said; name one")
    if args.lm and args.lexicon:
        raise InputError("--lm is for phones and --lexicon for words; choose one")
    if args.ipa and args.lexicon:
        raise InputError("--ipa is for phones and --lexicon gives words; choose one")
    own = model.manifest.decoder
    if args.lexicon:
        carried = {key: own[key] for key in ("utterances",) if key in own}
        return {"name": "words", "lexicon": _lexicon(args.lexicon, args.dictionary), **carried}
    if args.lm:
        carried = {key: own[key] for key in ("calibration", "utterances") if key in own}
        return {"name": "ctc-beam", "lm": _lm(args.lm), **carried}
    return None


def _lexicon(path: str, dictionary: str | None) -> str:
    """Return the text of a lexicon, every word with its phones."""
    from streamcell.runtime.words import Lexicon, read_dictionary

    return Lexicon.read(path, read_dictionary(dictionary) if dictionary else None).to_text()


def _lm(path: str) -> str:
    """Return the text of an ARPA file, checked."""
    from streamcell.runtime.lm import read_arpa

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--lm {path}: expected an ARPA file, as `streamcell lm` makes it: {error}") from error
    read_arpa(text, path)
    return text
