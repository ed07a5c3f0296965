import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { realNumbers } from '../flags.ts';
import { techniqueFlags } from '../trainFlags.ts';
import { flagsFromWords } from './flagsFromWords.ts';

/** Technique — one of those that a sweep compares. */
export type Technique = {
  readonly name: string;
  /** Its flags as they were written. */
  readonly says: string;
  /** Their values, by option name; those given only. */
  readonly flags: Readonly<Record<string, unknown>>;
};

/** parseTechnique — `qk-norm: --qk-norm --z-loss 1e-4`, the text of `--vary`. */
export function parseTechnique(text: string): Technique {
  const colon = text.indexOf(':');
  const name = text.slice(0, colon).trim();
  if (colon < 0 || name === '') throw new UsageError(`--vary must be a name, a colon and flags, such as "qk-norm: --qk-norm", got ${text === '' ? 'an empty text' : JSON.stringify(text.slice(0, 60))}`);
  return technique(name, text.slice(colon + 1).split(/\s+/).filter((word) => word !== ''), `--vary "${name}"`);
}

/** technique — a technique from the words of its flags; `where` begins what an error says. */
export function technique(name: string, words: readonly string[], where: string): Technique {
  return { name, says: words.join(' '), flags: flagsFromWords(techniqueCommand(), words, where) };
}

/** techniqueCommand — the flags that a technique may have. */
export function techniqueCommand(): Command {
  return techniqueFlags(new Command()).option('--learning-rates <list>', '', realNumbers('--learning-rates', { above: 0 }));
}
