"""Where samples come from: files and microphones, as blocks of float32 between -1 and 1; and what of it is speech.

Readings of sensors come as lines of text.
"""

from streamcell.runtime.sources.audio_file import AudioFile
from streamcell.runtime.sources.excerpt import read_excerpt
from streamcell.runtime.sources.lines import Lines, Readings
from streamcell.runtime.sources.microphone import Device, Microphone, list_devices
from streamcell.runtime.sources.speech_cutter import Source, Speech, SpeechCutter, speech

__all__ = [
    "AudioFile",
    "Device",
    "Lines",
    "Microphone",
    "Readings",
    "Source",
    "Speech",
    "SpeechCutter",
    "list_devices",
    "read_excerpt",
    "speech",
]
