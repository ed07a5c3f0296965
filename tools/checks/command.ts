import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { repositoryRoot } from './workspace.ts';

export type CommandOptions = {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Write output through as it comes, besides capturing it. */
  echo?: boolean;
  /** Lines of stderr that are noise, neither echoed nor captured. */
  ignore?: RegExp;
  timeoutMs?: number;
};

export type CommandResult = { code: number; output: string; stdout: string };

const running = new Set<ChildProcess>();
const temporary = new Set<string>();
let stopping = false;

/** command — runs a program to its end and captures what it writes; never throws for its exit code. */
export function command(program: string, args: readonly string[], { cwd = repositoryRoot, env = {}, echo = false, ignore, timeoutMs = 600_000 }: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: process.platform !== 'win32' });
    running.add(child);
    const chunks: Buffer[] = [];
    const stdout: Buffer[] = [];
    const timer = setTimeout(() => {
      chunks.push(Buffer.from(`\n${program} was stopped after ${timeoutMs / 1000} s\n`));
      stop(child, 'SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      stdout.push(chunk);
      if (echo) process.stdout.write(chunk);
    });
    child.stderr.on('data', (data: Buffer) => {
      const chunk = ignore === undefined ? data : withoutLines(data, ignore);
      chunks.push(chunk);
      if (echo) process.stderr.write(chunk);
    });
    const finish = (code: number) => {
      clearTimeout(timer);
      running.delete(child);
      if (stopping) return; // the process is about to exit: nobody shall report a failure
      resolve({ code, output: Buffer.concat(chunks).toString(), stdout: Buffer.concat(stdout).toString() });
    };
    child.on('error', (error) => {
      chunks.push(Buffer.from(`${program}: ${error.message}\n`));
      finish(127);
    });
    child.on('close', (code) => finish(code ?? 1));
  });
}

function withoutLines(data: Buffer, ignore: RegExp): Buffer {
  return Buffer.from(data.toString().split(/(?<=\n)/).filter((line) => !ignore.test(line)).join(''));
}

/** nodeTool — runs the program of an npm package with this Node, without the detour through pnpm. */
export function nodeTool(name: string, args: readonly string[], options: CommandOptions & { bin?: string } = {}): Promise<CommandResult> {
  const manifestPath = createRequire(join(repositoryRoot, 'package.json')).resolve(`${name}/package.json`);
  const { bin } = JSON.parse(readFileSync(manifestPath, 'utf8')) as { bin: string | Record<string, string> };
  const script = typeof bin === 'string' ? bin : bin[options.bin ?? name]!;
  return command(process.execPath, [join(dirname(manifestPath), script), ...args], options);
}

/** pnpm — runs the pnpm that runs us, or the one on the path. */
export function pnpm(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const path = process.env['npm_execpath'];
  const env = { npm_config_verify_deps_before_run: 'false', pnpm_config_verify_deps_before_run: 'false', ...options.env };
  if (path !== undefined && /pnpm[^/]*\.[cm]?js$/.test(path)) return command(process.execPath, [path, ...args], { ...options, env });
  return command(path !== undefined && /pnpm[^/]*$/.test(path) ? path : 'pnpm', args, { ...options, env });
}

/** temporaryFolder — a new folder that is removed when this process ends, however it ends. */
export function temporaryFolder(label: string): string {
  const path = mkdtempSync(join(tmpdir(), `evenkeel-${label}-`));
  temporary.add(path);
  return path;
}

function stop(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(process.platform === 'win32' ? child.pid : -child.pid, signal);
  } catch {
    // it has just ended by itself
  }
}

process.on('exit', () => {
  for (const child of running) stop(child, 'SIGKILL');
  for (const path of temporary) rmSync(path, { recursive: true, force: true });
});

/** stopCleanly — from now on a signal that ends this process also ends what it has started and removes its temporary files. */
export function stopCleanly(): void {
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) {
    process.on(signal, () => {
      stopping = true;
      process.stderr.write(`\nstopped by ${signal}\n`);
      for (const child of running) stop(child, 'SIGTERM');
      setTimeout(() => process.exit(code), 300);
    });
  }
}
