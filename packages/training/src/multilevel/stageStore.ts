import type { RunStore } from '../runStore.ts';
import type { Stage } from './multilevelPlan.ts';

/** stageStore — where a stage keeps its files within the store of its cycle: `readMetrics(stageStore(store, stage))`. The cycle's lock is that of all. */
export function stageStore(store: RunStore, { index, level, phase }: Pick<Stage, 'index' | 'level' | 'phase'>): RunStore {
  const at = (path: string): string => `stages/${index}-level${level}-${phase}/${path}`;
  return Object.freeze({
    list: (folder: string) => store.list(at(folder)),
    remove: (path: string) => store.remove(at(path)),
    readText: (path: string) => store.readText(at(path)),
    writeText: (path: string, text: string) => store.writeText(at(path), text),
    appendText: (path: string, text: string) => store.appendText(at(path), text),
    writeTensors: (path, tensors, metadata) => store.writeTensors(at(path), tensors, metadata),
    openTensors: (path: string) => store.openTensors(at(path)),
  } satisfies RunStore);
}
