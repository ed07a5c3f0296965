"""A minimal safetensors reader and writer in pure Python, apart from any implementation under test.

A tensor is an Entry(dtype, shape, data): dtype as safetensors names it, shape a tuple, data the little-endian bytes. The reader
enforces the whole format: header size, JSON without duplicate names, offsets that tile the buffer exactly, sizes that fit.
"""

import json
import math
import struct
from typing import NamedTuple

WIDTHS = {
    'BOOL': 1, 'U8': 1, 'I8': 1, 'I16': 2, 'U16': 2, 'F16': 2, 'BF16': 2,
    'I32': 4, 'U32': 4, 'F32': 4, 'I64': 8, 'U64': 8, 'F64': 8,
}
HEADER_LIMIT = 100_000_000


class Entry(NamedTuple):
    dtype: str
    shape: tuple
    data: bytes


class SafetensorsError(ValueError):
    """The file breaks a rule of the format; the message says which."""


def save(path, entries, metadata=None):
    """Writes name -> Entry as the reference implementation does: widest dtypes first, then by name; header padded to 8 bytes."""
    names = sorted(entries, key=lambda name: (-WIDTHS[entries[name].dtype], name))
    header = {'__metadata__': metadata if metadata is not None else {'format': 'pt'}}
    offset = 0
    for name in names:
        dtype, shape, data = entries[name]
        if len(data) != math.prod(shape) * WIDTHS[dtype]:
            raise SafetensorsError(f'{name}: {dtype} {list(shape)} does not fit {len(data)} bytes')
        header[name] = {'dtype': dtype, 'shape': list(shape), 'data_offsets': [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)))
        file.write(text)
        for name in names:
            file.write(entries[name].data)


def load(path):
    """Reads name -> Entry; raises SafetensorsError where the file is not exactly as the format demands."""
    with open(path, 'rb') as file:
        content = file.read()
    if len(content) < 8:
        raise SafetensorsError(f'{path}: {len(content)} bytes are too few for a header')
    (length,) = struct.unpack('<Q', content[:8])
    if length > HEADER_LIMIT or 8 + length > len(content):
        raise SafetensorsError(f'{path}: a header of {length} bytes does not fit a file of {len(content)}')
    header = _parse_header(path, content[8:8 + length])
    header.pop('__metadata__', None)
    buffer = content[8 + length:]
    _check_tiling(path, header, len(buffer))
    return {
        name: Entry(info['dtype'], tuple(info['shape']), buffer[info['data_offsets'][0]:info['data_offsets'][1]])
        for name, info in header.items()
    }


def _parse_header(path, text):
    def without_duplicates(pairs):
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise SafetensorsError(f'{path}: the header names a tensor twice')
        return dict(pairs)

    try:
        header = json.loads(text.decode('utf-8'), object_pairs_hook=without_duplicates)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SafetensorsError(f'{path}: the header is not JSON: {error}') from error
    if not isinstance(header, dict):
        raise SafetensorsError(f'{path}: the header is not an object')
    for key, value in header.get('__metadata__', {}).items():
        if not isinstance(value, str):
            raise SafetensorsError(f'{path}: metadata {key} is not a string')
    return header


def _check_tiling(path, header, size):
    position = 0
    for name, info in sorted(header.items(), key=lambda item: item[1]['data_offsets']):
        begin, end = info['data_offsets']
        if info['dtype'] not in WIDTHS:
            raise SafetensorsError(f'{path}: {name} has the unknown dtype {info["dtype"]}')
        if begin != position or end < begin:
            raise SafetensorsError(f'{path}: {name} begins at {begin}, the tensor before it ends at {position}')
        if end - begin != math.prod(info['shape']) * WIDTHS[info['dtype']]:
            raise SafetensorsError(f'{path}: {name} is {info["dtype"]} {info["shape"]} but has {end - begin} bytes')
        position = end
    if position != size:
        raise SafetensorsError(f'{path}: the tensors end at {position}, the buffer at {size}')
