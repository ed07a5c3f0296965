import { ConfigError } from '@evenkeel/core-tensor';
import { checkIsFile } from './nodeFs.ts';
import { readText } from './readText.ts';

/** TaggedSentence — words, and the tag of each; `line`: where it begins in its file, from 1. */
export type TaggedSentence = { readonly words: readonly string[]; readonly tags: readonly string[]; readonly line: number };

/**
 * readConll — sentences of a file as those of CoNLL-2003: a word a line, its tag in the last column, an empty line between sentences. Columns
 * stand between spaces or tabs; lines that begin with `-DOCSTART-` are left out.
 *
 * @throws ConfigError  if a line has one column alone, or there is no sentence; names file and line.
 */
export async function readConll(path: string): Promise<TaggedSentence[]> {
  checkIsFile('readConll', path);
  const sentences: TaggedSentence[] = [];
  let [words, tags, start]: [string[], string[], number] = [[], [], 1];
  const close = (): void => {
    if (words.length > 0) sentences.push({ words, tags, line: start });
    [words, tags] = [[], []];
  };
  for (const [i, line] of (await readText(path)).split('\n').entries()) {
    const columns = line.trim().split(/[ \t]+/);
    if (columns[0] === '' || columns[0]?.startsWith('-DOCSTART-')) {
      close();
      continue;
    }
    if (columns.length < 2) throw new ConfigError(`readConll: ${path} must have a word and a tag on each line, got one column on line ${i + 1}`);
    if (words.length === 0) start = i + 1;
    words.push(columns[0] as string);
    tags.push(columns.at(-1) as string);
  }
  close();
  if (sentences.length === 0) throw new ConfigError(`readConll: ${path} must have sentences, got none`);
  return sentences;
}
