/**
 * Runs every package's tests once and writes the counts to the file named by the first argument. Further arguments narrow it
 * down: the names of packages' folders, or words that occur in the names of test files.
 */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { startVitest, type Reporter, type TestCase } from 'vitest/node';
import type { Outcome } from './outcome.ts';
import { workspacePackages } from './workspace.ts';

const [resultFile, ...words] = process.argv.slice(2);
const folders = new Set(workspacePackages().map(({ dir }) => basename(dir)));
const filters = words.filter((word) => !folders.has(word));
const project = words.filter((word) => folders.has(word));
const outcome: Outcome = { passed: 0, failures: [], skipped: [] };

function count(test: TestCase): void {
  const result = test.result();
  const title = `${test.project.name}: ${test.fullName}`;
  if (result.state === 'passed') outcome.passed++;
  else if (result.state === 'skipped') outcome.skipped.push(`${title}: ${result.note ?? 'no reason given'}`);
  else outcome.failures.push(title);
}

const counter: Reporter = {
  onTestRunEnd: (modules, unhandledErrors) => {
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      tests.forEach(count);
      if (module.state() === 'failed' && tests.every((test) => test.result().state !== 'failed')) {
        outcome.failures.push(`${module.project.name}: ${module.relativeModuleId}: ${module.errors()[0]?.message ?? 'could not be run'}`);
      }
    }
    for (const error of unhandledErrors) outcome.failures.push(`unhandled error: ${error.message}`);
    writeFileSync(resultFile!, JSON.stringify(outcome));
  },
};

const vitest = await startVitest(filters, {
  run: true, watch: false, slowTestThreshold: 5000, ...(project.length > 0 ? { project } : {}), silent: 'passed-only', reporters: [['default', { summary: false }], counter],
});
await vitest.close();
process.exit(process.exitCode ?? 0);
