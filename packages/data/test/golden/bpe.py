"""Writes bpe.json: what Hugging Face's own trainer and tokenizers give. Run: pip install tokenizers==0.23.2 && python bpe.py"""

import json
import pathlib
import random

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SEED = 7
SYLLABLES = ["ka", "ri", "mo", "the", "in", "g", "é", "ße", "ou", "日", "本", "🙂", "s", "ab", "aba", "zz"]
SAMPLES = [
    "", " ", "\n", "the king's men won't say they'd've gone", "  two  spaces\tand\ttabs\r\n\r\nend ", "aaaaaaaaa abababab zzzz",
    "naïve café 12345 3.14 №7", "日本日本 🙂🙂 👩‍👩‍👧‍👦", "\u00a0nbsp\u2003em", "e\u0301 combining", "<|endoftext|>and<|endoftext|>", "x" * 70,
]


def corpus():
    draw = random.Random(SEED)
    words = ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(400)]
    weights = [1 / (i + 1) for i in range(len(words))]
    lines = [" ".join(draw.choices(words, weights, k=draw.randint(3, 9))) + draw.choice([".", "!", "?", ", 42", "'s"]) for _ in range(500)]
    return "\n".join(lines) + "\naaaa aaaaa aaaaaaa\n"


def byte_level(text, vocab_size, min_frequency):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=min_frequency, show_progress=False, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([text], trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return {
        "vocabSize": vocab_size, "minFrequency": min_frequency, "learned": tokenizer.get_vocab_size(),
        "merges": [merge if isinstance(merge, str) else " ".join(merge) for merge in merges],
        "ids": [tokenizer.encode(sample).ids for sample in SAMPLES],
    }


def characters(text):
    tokenizer = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(sorted(set(text)))}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    sample = text[:300]
    ids = tokenizer.encode(sample).ids
    assert tokenizer.decode(ids) == sample
    return {"sample": sample, "ids": ids, "json": json.loads(tokenizer.to_str())}


def word_piece():
    vocab = ["[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "cafe", "runn", "##ing", "日", "本", ",", "!", "hello", "a", "##a"]
    tokenizer = Tokenizer(models.WordPiece(vocab={token: i for i, token in enumerate(vocab)}, unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    samples = ["Unaffable café, running!", "日本 hello", "HELLO,hello", "xyz", "a" * 19, "a" * 21]
    return {"json": json.loads(tokenizer.to_str()), "samples": samples, "ids": [tokenizer.encode(sample).ids for sample in samples]}


text = corpus()
golden = {
    "script": "packages/data/test/golden/bpe.py", "seed": SEED, "versions": {"tokenizers": tokenizers.__version__},
    "text": text, "samples": SAMPLES, "bpe": [byte_level(text, 500, 2), byte_level(text, 5000, 4)], "char": characters(text), "wordPiece": word_piece(),
}
path = pathlib.Path(__file__).with_name("bpe.json")
path.write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")
print(path, path.stat().st_size, "bytes;", [len(case["merges"]) for case in golden["bpe"]], "merges")
