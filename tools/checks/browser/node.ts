/** The same runs in Node, as one line of JSON: node --conditions=@evenkeel/source tools/checks/browser/node.ts '{…}', or the directory of a checkpoint. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fineTune } from './fineTune.ts';
import { train, type Run } from './train.ts';

const what = process.argv[2]!;
const result = what.startsWith('{') ? await train(JSON.parse(what) as Run)
  : await fineTune('wasm', await readFile(join(what, 'config.json'), 'utf8'), join(what, 'model.safetensors'), false);
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
