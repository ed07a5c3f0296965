import type { Entries, SafetensorsFile } from '@evenkeel/checkpoint';

/**
 * RunStore — where a run keeps its files: a directory (`directoryStore`), memory (`memoryStore`), or what a browser offers.
 * Paths are relative, with `/`. Methods reject with the reason if the storage fails.
 */
export type RunStore = {
  /** Names of the files in a folder, in any order; none if there is no such folder. */
  list(folder: string): Promise<string[]>;
  /** Removes a file; one that is not there is no error. */
  remove(path: string): Promise<void>;
  /** The text of a file, or undefined if there is none. */
  readText(path: string): Promise<string | undefined>;
  /** Replaces a file: at any moment, also after a crash, it holds the old text or the new. */
  writeText(path: string, text: string): Promise<void>;
  /** Adds to the end of a file, making it if need be; a crash may leave a part of `text`. */
  appendText(path: string, text: string): Promise<void>;
  /** Writes a safetensors file as `writeText` does: the old one or the new one, never a part. */
  writeTensors(path: string, tensors: Entries, metadata: Readonly<Record<string, string>>): Promise<void>;
  /** Opens a safetensors file; rejects if it is missing or damaged. The caller closes it. */
  openTensors(path: string): Promise<SafetensorsFile>;
  /** Claims the run for one caller and returns what gives it free; rejects if another has it. Without it nobody is kept out. */
  lock?(): Promise<() => Promise<void>>;
};
