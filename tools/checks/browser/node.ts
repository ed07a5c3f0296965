/** The same run in Node, as one line of JSON: node --conditions=@evenkeel/source tools/checks/browser/node.ts '{…}' */
import { train, type Run } from './train.ts';

process.stdout.write(`${JSON.stringify(await train(JSON.parse(process.argv[2]!) as Run))}\n`);
process.exit(0);
