import { arch, availableParallelism, cpus, freemem, platform, release, totalmem } from 'node:os';
import type { DeviceProbe } from '@evenkeel/core-tensor';
import { wasmFeatures } from '@evenkeel/wasm-kernels';
import { openDevice } from '../devices.ts';
import { formatBytes, wrap } from '../format.ts';
import type { Io } from '../output.ts';

export type DoctorOptions = Record<never, never>;

type FoundDevice = DeviceProbe & { readonly name: string; readonly chosen: boolean };

export type DoctorResult = {
  readonly command: 'doctor';
  readonly node: string;
  readonly platform: string;
  readonly cpu: { readonly model: string; readonly cores: number };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  readonly device: { readonly name: string; readonly reason: string };
  readonly devices: readonly FoundDevice[];
  readonly wasm: Readonly<Record<string, string | number | boolean>>;
  readonly threads: number;
};

/** doctor — Node, memory, the devices found, and which one `--device auto` takes and why. */
export async function doctor(_options: DoctorOptions, io: Io): Promise<DoctorResult> {
  const device = await openDevice('auto', { thorough: true });
  const devices = device.considered.map((probe) => ({ ...probe, chosen: probe.name === device.name }));
  const threads = Number(devices.find(({ name }) => name === 'wasm')?.details?.['chosenThreads'] ?? 1);
  const result: DoctorResult = {
    command: 'doctor',
    node: process.version,
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: { model: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism() },
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    device: { name: device.name, reason: device.reason },
    devices,
    wasm: { ...wasmFeatures() },
    threads,
  };
  print(result, io);
  return result;
}

function print({ node, platform: system, cpu, memory, devices, wasm, threads }: DoctorResult, io: Io): void {
  const row = (label: string, text: string): void => wrap(label.padEnd(11), text).forEach(io.line);
  row('Node', `${node} on ${system}`);
  row('CPU', `${cpu.model}, ${cpu.cores} core${cpu.cores === 1 ? '' : 's'} for this process`);
  row('Memory', `${formatBytes(memory.freeBytes)} free of ${formatBytes(memory.totalBytes)}`);
  row('WASM', listOf(wasm));
  row('Threads', `${threads} on the wasm device`);
  io.line();
  io.line('Devices');
  for (const { name, chosen, available, reason, details } of devices) {
    const fate = chosen ? 'chosen' : available ? 'available, not chosen' : 'unavailable';
    row(`${chosen ? '→' : ' '} ${name}`, `${fate}: ${reason}`);
    if (name !== 'wasm' && details !== undefined) row('', listOf(details)); // those of wasm stand above
  }
}

const listOf = (facts: Readonly<Record<string, string | number | boolean>>): string =>
  Object.entries(facts).map(([name, value]) => `${name} ${value === true ? 'yes' : value === false ? 'no' : String(value)}`).join(', ');
