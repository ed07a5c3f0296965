/** The conformance suite in Node, as one line of JSON: VK_DRIVER_FILES=… node --conditions=@evenkeel/source tools/checks/conformance/node.ts */
import { conformanceRun } from './run.ts';

process.stdout.write(`${JSON.stringify(await conformanceRun())}\n`);
process.exit(0);
