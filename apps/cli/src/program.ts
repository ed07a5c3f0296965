import { Command, CommanderError, Help } from 'commander';
import { describeFailure, UsageError } from './errors.ts';
import { finish } from './finish.ts';
import { nonEmpty, nonEmptyList, oneOf, realNumber, wholeNumber, wholeNumbers } from './flags.ts';
import { written } from './output.ts';
import { SEED_COMMAND } from './repro/seedProcess.ts';
import { sweepFlags } from './sweep/sweepFlags.ts';
import { finetuneFlags, trainCommands } from './trainCommands.ts';
import { deviceFlag, PRECISIONS } from './trainFlags.ts';
import type { BenchGptStepOptions } from './commands/benchGptStep.ts';
import type { BenchMatmulOptions } from './commands/benchMatmul.ts';
import type { DoctorOptions } from './commands/doctor.ts';
import type { EvalOptions } from './commands/eval.ts';
import type { GenerateOptions } from './commands/generate.ts';
import type { PredictOptions } from './commands/predict.ts';
import type { ReproOptions } from './commands/repro.ts';
import type { SweepOptions } from './commands/sweep.ts';
import { version } from './version.ts';

const SEED = { min: 0, max: Number.MAX_SAFE_INTEGER };
const ANY_SIZE = { min: 1, max: 2 ** 31 - 1 };

/**
 * run — parses a command line, runs its command and prints what it says.
 *
 * @param argv  the arguments after the program's name.
 * @returns     the exit code: 0, 1 for a failure, 2 for a wrong command line, 129, 130 or 143 after a signal.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const debug = argv.includes('--debug');
  try {
    await program().parseAsync([...withDefaultModel(argv)], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help, --version
    if (error instanceof CommanderError && error.code === 'commander.help') return 2; // no command: the help was printed
    const failure = describeFailure(error instanceof CommanderError ? new UsageError(error.message.replace(/^error: /, '')) : error);
    const trace = debug && error instanceof Error ? `\n${error.stack ?? ''}` : '';
    await written(process.stderr, `${failure.line}${trace}\n`);
    return failure.exitCode;
  }
}

/** `train` alone, or followed by a flag, means `train gpt`. */
function withDefaultModel(argv: readonly string[]): readonly string[] {
  const [command, next] = argv;
  return command === 'train' && (next === undefined || next.startsWith('-')) ? ['train', 'gpt', ...argv.slice(1)] : argv;
}

function program(): Command {
  const root = new Command('evenkeel')
    .description('Train, evaluate and run transformers on the hardware you have.')
    .version(version(), '-V, --version', 'print the version')
    .helpCommand(false)
    .configureHelp({ optionDescription: (option) => new Help().optionDescription(option).replace(/ \(preset: [^)]*\)$/, '') }) // descriptions say it in words
    .configureOutput({ outputError: () => {} }) // errors are printed by run, in one line
    .exitOverride();
  trainCommands(child(root, 'train', 'train a model'));
  finetuneFlags(root.command('finetune'));
  sweepCommand(root.command('sweep'));
  evalFlags(root.command('eval'));
  predictFlags(root.command('predict'));
  generateFlags(root.command('generate'));
  const bench = child(root, 'bench', 'measure speed on this machine');
  benchGptStepFlags(bench.command('gpt-step'));
  benchMatmulFlags(bench.command('matmul'));
  reproFlags(root.command('repro'));
  finish<object>(root.command(SEED_COMMAND, { hidden: true }), async () => (await import('./commands/reproSeed.ts')).reproSeed);
  doctorFlags(root.command('doctor'));
  return root;
}

function child(root: Command, name: string, description: string): Command {
  return root.command(name).description(description).helpCommand(false);
}

function sweepCommand(command: Command): void {
  sweepFlags(command.description('train GPTs over learning rates, techniques and sizes, and compare them'));
  finish<SweepOptions>(command, async () => (await import('./commands/sweep.ts')).sweep);
}

function evalFlags(command: Command): void {
  command.description('mean next-token loss of a checkpoint on text or tokens')
    .option('--checkpoint <dir>', 'a run directory or a Hugging Face GPT-2 directory (required)', nonEmpty('--checkpoint', 'a path'))
    .option('--data <path>', 'a text file, or a directory of them', nonEmpty('--data', 'a path'))
    .option('--tokens <file>', 'JSON: arrays of token ids, all of one length', nonEmpty('--tokens', 'a path'))
    .option('--batch-size <n>', 'sequences at once', wholeNumber('--batch-size', ANY_SIZE), 12);
  finish<EvalOptions>(deviceFlag(command), async () => (await import('./commands/eval.ts')).evaluateCheckpoint, ['checkpoint']);
}

function generateFlags(command: Command): void {
  command.description('continue a text with a checkpoint')
    .option('--checkpoint <dir>', 'a run directory or a Hugging Face GPT-2 directory (required)', nonEmpty('--checkpoint', 'a path'))
    .option('--prompt <text>', 'the text to continue (required)', nonEmpty('--prompt', 'a text'))
    .option('--max-tokens <n>', 'tokens to draw', wholeNumber('--max-tokens', { min: 1, max: 2 ** 31 - 1 }), 256)
    .option('--temperature <x>', 'divides the logits; 0 takes the likeliest token', realNumber('--temperature', { min: 0 }), 0.8)
    .option('--top-k <n>', 'draw from the k likeliest tokens only', wholeNumber('--top-k'))
    .option('--top-p <x>', 'draw from the likeliest tokens that reach this probability', realNumber('--top-p', { above: 0, max: 1 }), 1)
    .option('--seed <n>', 'decides all randomness', wholeNumber('--seed', SEED), 1);
  finish<GenerateOptions>(deviceFlag(command), async () => (await import('./commands/generate.ts')).generateText, ['checkpoint', 'prompt']);
}

function predictFlags(command: Command): void {
  command.description('say what a trained model makes of texts, questions or images')
    .option('--checkpoint <dir>', 'a directory of train bert or vit, of finetune, of Hugging Face or timm (required)', nonEmpty('--checkpoint', 'a path'))
    .option('--text <texts...>', 'texts; with [MASK] in them for a model of masked tokens', nonEmptyList('--text', 'a text'))
    .option('--text-pair <text>', 'the second text of a pair', nonEmpty('--text-pair', 'a text'))
    .option('--question <text>', 'a question about --context', nonEmpty('--question', 'a text'))
    .option('--context <text>', 'the text in which the answer stands', nonEmpty('--context', 'a text'))
    .option('--image <files...>', 'image files', nonEmptyList('--image'))
    .option('--data <path>', 'many of them: a table of texts, questions as in SQuAD, or a folder of images', nonEmpty('--data', 'a path'))
    .option('--text-column <name>', 'which column is the text (default: text, sentence, …)', nonEmpty('--text-column', 'a name'))
    .option('--text-pair-column <name>', 'which is the second text (default: sentence2, hypothesis, …)', nonEmpty('--text-pair-column', 'a name'))
    .option('--label-column <name>', 'which is the label, to compare with (default: label, class, …)', nonEmpty('--label-column', 'a name'))
    .option('--out <file>', 'write all predictions there: .jsonl, .json, .csv or .tsv', nonEmpty('--out', 'a path'))
    .option('--top <n>', 'how many classes or tokens to name', wholeNumber('--top', { min: 1, max: 1000 }), 5)
    .option('--batch-size <n>', 'inputs at once', wholeNumber('--batch-size', ANY_SIZE), 32);
  finish<PredictOptions>(deviceFlag(command), async () => (await import('./commands/predict.ts')).predict, ['checkpoint']);
}

function benchGptStepFlags(command: Command): void {
  command.description("milliseconds of a training step of nanoGPT's CPU configuration")
    .option('--steps <n>', 'steps to time', wholeNumber('--steps'), 30)
    .option('--profile', 'show where the time goes, kernel by kernel (wasm, webgpu)')
    .option('--precision <name>', 'of products on webgpu: f32 or f16', oneOf('--precision', PRECISIONS), 'f32')
    .option('--threads <n>', 'threads of the wasm device (default: all cores)', wholeNumber('--threads', { min: 1, max: 256 }));
  finish<BenchGptStepOptions>(deviceFlag(command), async () => (await import('./commands/benchGptStep.ts')).benchGptStep);
}

function benchMatmulFlags(command: Command): void {
  command.description('GFLOP/s of square matrix products')
    .option('--sizes <list>', 'sizes, with commas between', wholeNumbers('--sizes', { min: 1, max: 16384 }), [256, 512, 1024])
    .option('--threads <n>', 'threads of the wasm device (default: all cores)', wholeNumber('--threads', { min: 1, max: 256 }));
  finish<BenchMatmulOptions>(deviceFlag(command), async () => (await import('./commands/benchMatmul.ts')).benchMatmul);
}

function reproFlags(command: Command): void {
  command.description("measure a paper's claim, with and without its technique")
    .argument('[slug]', 'which paper, such as sigma-reparam; list shows them, all measures every one', 'list')
    .option('--seeds <n>', 'how many seeds', wholeNumber('--seeds', { min: 1, max: 100 }), 1)
    .option('--first-seed <n>', 'the first of them', wholeNumber('--first-seed', SEED), 1)
    .option('--jobs <n>', 'how many seeds at a time, each in a process of its own (default: as many as cores)', wholeNumber('--jobs', { min: 1, max: 256 }))
    .option('--quick', 'half a minute instead of minutes: looks at the direction only, does not test the claim')
    .option('--data <dir>', 'a folder with the data sets (default: EVENKEEL_DATA, else a cache of what was fetched)', nonEmpty('--data', 'a path'))
    .option('--out <dir>', 'where pages and records are written', nonEmpty('--out', 'a path'), 'runs/repro')
    .option('--resume', 'keep the seeds that were measured into --out before, by this release');
  finish<ReproOptions>(deviceFlag(command), async () => (await import('./commands/repro.ts')).repro);
}

function doctorFlags(command: Command): void {
  command.description('show what this machine offers, and which device would be used');
  finish<DoctorOptions>(command, async () => (await import('./commands/doctor.ts')).doctor);
}
