/**
 * The one test command: `pnpm test`. Prepares the machine, runs every check and test, and ends with `N passed, N failed`.
 *
 *     pnpm test                          everything
 *     pnpm test --only lint,vitest       some steps
 *     pnpm test --only vitest norms      the tests of one package, or the test files whose name holds a word
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { browserTests } from './browser.ts';
import { command, nodeTool, stopCleanly, temporaryFolder, type CommandResult } from './command.ts';
import { checkDocs } from './docs.ts';
import { checkFileLength, fileLengths } from './fileLength.ts';
import { checkLayering } from './layering.ts';
import { failed, fromProblems, merge, passed, type Outcome, type Step } from './outcome.ts';
import { packTests } from './pack.ts';
import { swiftshaderTests } from './swiftshader.ts';
import { prepareSystem } from './system.ts';
import { checkTrackedFiles } from './trackedFiles.ts';

process.env['NX_DAEMON'] = 'false';
stopCleanly();

const { values, positionals } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } }, allowPositionals: true });

const steps: readonly Step[] = [
  { name: 'system', run: prepareSystem },
  { name: 'assemble', run: async () => fromCommand('assemble', await command(process.execPath, ['tools/checks/assemble.ts'])) },
  { name: 'checks', run: checks },
  { name: 'lint', run: async () => fromCommand('eslint', await nodeTool('eslint', ['.'])) },
  { name: 'typecheck', needs: 'assemble', run: typecheck },
  { name: 'vitest', needs: 'assemble', run: vitest },
  { name: 'build', needs: 'assemble', run: async () => fromCommand('build', await nx('build')) },
  { name: 'pack', needs: 'build', run: packTests },
  { name: 'browser', needs: 'assemble', run: browserTests },
  { name: 'swiftshader', needs: 'assemble', run: swiftshaderTests },
];

async function checks(): Promise<Outcome> {
  const longest = fileLengths().slice(0, 3).map(({ file, lines }) => `${file} ${lines}`).join(', ');
  process.stdout.write(`  longest files: ${longest}\n`);
  return merge([
    fromProblems('layering', checkLayering()),
    fromProblems('documentation', checkDocs()),
    fromProblems('file length', checkFileLength()),
    fromProblems('tracked files', checkTrackedFiles()),
  ]);
}

async function typecheck(): Promise<Outcome> {
  const root = nodeTool('typescript', ['--noEmit', '-p', 'tsconfig.json'], { bin: 'tsc' });
  return merge([fromCommand('typecheck', await nx('typecheck')), fromCommand('typecheck of the root', await root)]);
}

function nx(target: string): Promise<CommandResult> {
  return nodeTool('nx', ['run-many', '-t', target, '--parallel=2'], { timeoutMs: 900_000 });
}

/** Dawn says this of Mesa's software adapter, once per device. */
const DAWN_NOISE = /^Warning: maxDynamic\w+ artificially reduced/;

async function vitest(): Promise<Outcome> {
  const file = join(temporaryFolder('vitest'), 'outcome.json');
  rmSync(file, { force: true });
  const { code } = await command(process.execPath, [join(import.meta.dirname, 'vitest.ts'), file, ...positionals], { echo: true, ignore: DAWN_NOISE, timeoutMs: 1_500_000 });
  try {
    const outcome = JSON.parse(readFileSync(file, 'utf8')) as Outcome;
    return code !== 0 && outcome.failures.length === 0 ? merge([outcome, failed(`vitest ended with ${code}`)]) : outcome;
  } catch {
    return failed(`vitest ended with ${code} before it could report`);
  }
}

/** One check: a program that must end with 0; what it wrote is the failure's text. */
function fromCommand(title: string, { code, output }: CommandResult): Outcome {
  return code === 0 ? passed() : failed(`${title} ended with ${code}\n${output.trim().split('\n').slice(-200).map((line) => `  ${line}`).join('\n')}`);
}

async function runStep(step: Step, failedSteps: Set<string>): Promise<Outcome> {
  process.stdout.write(`\n── ${step.name}\n`);
  const started = performance.now();
  let outcome: Outcome;
  if (step.needs !== undefined && failedSteps.has(step.needs)) outcome = failed(`${step.name}: not run, because ${step.needs} failed`);
  else outcome = await step.run().catch((error: unknown) => failed(`${step.name}: ${error instanceof Error ? error.stack : String(error)}`));
  if (outcome.failures.length > 0) failedSteps.add(step.name);
  for (const failure of step.name === 'vitest' ? [] : outcome.failures) process.stdout.write(`  ✗ ${failure}\n`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const skips = outcome.skipped.length > 0 ? `, ${outcome.skipped.length} skipped` : '';
  process.stdout.write(`  ${step.name}: ${outcome.passed} passed, ${outcome.failures.length} failed${skips} in ${seconds} s\n`);
  return outcome;
}

function report(outcome: Outcome): number {
  const isStrict = process.env['CI'] === 'true';
  const grouped = Map.groupBy(outcome.skipped, (reason) => reason.replace(/^.*(?=backend \S+ is unavailable)/, ''));
  process.stdout.write('\n');
  for (const [reason, list] of grouped) process.stdout.write(`skipped${isStrict ? ' (a failure with CI=true)' : ''}: ${list.length > 1 ? `${list.length} × ` : ''}${reason}\n`);
  for (const failure of outcome.failures) process.stdout.write(`failed: ${failure.split('\n')[0]}\n`);
  const failures = outcome.failures.length + (isStrict ? outcome.skipped.length : 0);
  process.stdout.write(`${outcome.passed} passed, ${failures} failed\n`);
  return failures === 0 ? 0 : 1;
}

const only = values.only?.split(',');
const unknown = only?.filter((name) => steps.every((step) => step.name !== name)) ?? [];
if (values.help === true || unknown.length > 0) {
  process.stdout.write(`usage: pnpm test [--only ${steps.map(({ name }) => name).join(',')}] [package or test file …]\n`);
  process.exit(unknown.length > 0 ? 2 : 0);
}
const failedSteps = new Set<string>();
const outcomes: Outcome[] = [];
for (const step of steps) {
  if (only === undefined || only.includes(step.name)) outcomes.push(await runStep(step, failedSteps));
}
process.exit(report(merge(outcomes)));
