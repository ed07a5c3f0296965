import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Golden = {
  text: string;
  samples: string[];
  bpe: { vocabSize: number; minFrequency: number; learned: number; merges: string[]; ids: number[][] }[];
  char: { sample: string; ids: number[]; json: object };
  wordPiece: { json: object; samples: string[]; ids: number[][] };
};

/** What Hugging Face's own library gives; `python bpe.py` in `golden/` writes it anew. */
export const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'golden', 'bpe.json'), 'utf8')) as Golden;
