"""Where samples come from: files and microphones, as blocks of float32 between -1 and 1; and what of it is speech.

Readings of sensors come as lines of text, from files, pipes, serial ports and MQTT brokers.
"""

from streamcell.runtime.sources.audio_file import AudioFile
from streamcell.runtime.sources.excerpt import read_excerpt
from streamcell.runtime.sources.lines import Lines
from streamcell.runtime.sources.microphone import Device, Microphone, list_devices
from streamcell.runtime.sources.mqtt import Mqtt, MqttPublisher
from streamcell.runtime.sources.open_readings import open_readings
from streamcell.runtime.sources.readings import Readings
from streamcell.runtime.sources.serial_port import Serial
from streamcell.runtime.sources.speech_cutter import Source, Speech, SpeechCutter, speech

__all__ = [
    "AudioFile",
    "Device",
    "Lines",
    "Microphone",
    "Mqtt",
    "MqttPublisher",
    "Readings",
    "Serial",
    "Source",
    "Speech",
    "SpeechCutter",
    "list_devices",
    "open_readings",
    "read_excerpt",
    "speech",
]
