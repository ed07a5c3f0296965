import { UnsupportedError } from '@evenkeel/core-tensor';
import { isNode } from './runtime.ts';

/**
 * DeviceWatch — remembers the first error of a device. WebGPU reports errors as events and lets programs run on: one shader
 * that does not compile voids its whole batch of commands, and every tensor of that batch reads as zeros or old values. Hence
 * one error condemns the device: from then on everything throws, until a fresh device is made.
 */
export type DeviceWatch = {
  /** What went wrong, or undefined while the device works. */
  readonly failure: () => string | undefined;
  /** Throws UnsupportedError if anything went wrong so far, noticed in the operation `name` or in the one that is running. */
  readonly check: (name?: string) => void;
  /** Runs `f` if nothing went wrong so far; an error that arrives meanwhile is reported under `name`. */
  readonly during: <T>(name: string, f: () => T) => T;
  /** A buffer; that there is no memory for it is reported under the name of what is running. */
  readonly createBuffer: (descriptor: GPUBufferDescriptor) => GPUBuffer;
  /** Takes an error that was caught, of the operation `name`. */
  readonly fail: (error: GPUError, name?: string) => void;
  /** The end that was meant: losing the device is no failure from here on, using it is. */
  readonly close: () => void;
};

/** watchDevice — starts listening to a device that was just made. */
export function watchDevice(device: GPUDevice): DeviceWatch {
  let failure: string | undefined;
  let running: string | undefined;
  const fail = (what: string): void => {
    failure ??= what;
  };
  const failWith = ({ message, constructor }: GPUError, name = running): void =>
    fail(`${KINDS[constructor.name] ?? 'an error'}${name === undefined ? '' : ` in ${name}`}: ${oneLine(message)}`);
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault(); // it is thrown, so it need not be printed
    failWith(event.error);
  });
  void device.lost.then(({ reason, message }) => fail(`the device was lost (${reason}): ${oneLine(message)}`));
  const check = (name = running): void => {
    if (failure === undefined) return;
    const where = name === undefined || failure.includes(name) ? '' : ` (noticed in ${name})`;
    throw new UnsupportedError(`webgpu: the device must be working, got ${failure}${where}. Its tensors are lost; useDevice starts a fresh device.`);
  };
  return {
    failure: () => failure,
    check,
    createBuffer: (descriptor) => {
      if (isNode()) return device.createBuffer(descriptor); // Dawn reports within the call
      const name = running;
      device.pushErrorScope('out-of-memory');
      const buffer = device.createBuffer(descriptor);
      void device.popErrorScope().then((error) => void (error && failWith(error, name)), () => {}); // a lost device is reported by itself
      return buffer;
    },
    during: (name, f) => {
      check(name);
      const outer = running;
      running = name;
      try {
        return f();
      } finally {
        running = outer;
      }
    },
    fail: failWith,
    close: () => fail('one that was closed, because its backend was removed'),
  };
}

const KINDS: Record<string, string> = { GPUValidationError: 'a validation error', GPUOutOfMemoryError: 'out of memory', GPUInternalError: 'an internal error' };

/** Dawn's messages run over many lines, of which the first tell what is wrong and the rest where. */
const oneLine = (text: string): string => text.replace(/\s+/g, ' ').slice(0, 600).replace(/[\s.]+$/, '');
