"""Where samples come from: files and microphones, as blocks of float32 between -1 and 1."""

from streamcell.runtime.sources.audio_file import AudioFile
from streamcell.runtime.sources.excerpt import read_excerpt
from streamcell.runtime.sources.microphone import Device, Microphone, list_devices

__all__ = ["AudioFile", "Device", "Microphone", "list_devices", "read_excerpt"]
