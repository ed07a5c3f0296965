import { openSafetensors, serializeSafetensors } from '@evenkeel/checkpoint';
import { ConfigError } from '@evenkeel/core-tensor';
import type { RunStore } from './runStore.ts';

/**
 * memoryStore — a run's files in memory: for tests, and for runs in a page that will not outlive it.
 *
 * @param files  contents by path; a run goes on where the files of another left off.
 */
export function memoryStore(files: Map<string, Uint8Array | string> = new Map()): RunStore & { readonly files: Map<string, Uint8Array | string> } {
  const textOf = (path: string): string | undefined => {
    const content = files.get(path);
    return content instanceof Uint8Array ? new TextDecoder().decode(content) : content;
  };
  return Object.freeze({
    files,
    list: async (folder: string) => [...files.keys()].filter((path) => path.startsWith(`${folder}/`)).map((path) => path.slice(folder.length + 1)),
    remove: async (path: string) => void files.delete(path),
    readText: async (path: string) => textOf(path),
    writeText: async (path: string, text: string) => void files.set(path, text),
    appendText: async (path: string, text: string) => void files.set(path, (textOf(path) ?? '') + text),
    writeTensors: async (path, tensors, metadata) => void files.set(path, serializeSafetensors(tensors, { metadata })),
    openTensors: async (path: string) => {
      const content = files.get(path);
      if (!(content instanceof Uint8Array)) throw new ConfigError(`memoryStore: ${path} must be a tensor file, got ${typeof content}`);
      return openSafetensors(new Blob([content as Uint8Array<ArrayBuffer>]));
    },
  } satisfies RunStore & { files: typeof files });
}
