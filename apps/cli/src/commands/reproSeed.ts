import { measureSeed } from '@evenkeel/reproductions';
import { openDevice } from '../devices.ts';
import { UsageError } from '../errors.ts';
import { labOf } from '../repro/lab.ts';
import type { SeedMessage, SeedOrder, SentError } from '../repro/seedProcess.ts';

/** reproSeed — measures the seed that the process that started this one asks for, and tells it what came out. */
export async function reproSeed(): Promise<object> {
  if (process.send === undefined) throw new UsageError('repro-seed is started by evenkeel repro and not by hand');
  const tell = (message: SeedMessage): Promise<void> => new Promise((resolve) => process.send!(message, () => resolve()));
  process.on('disconnect', () => process.exit(1)); // nobody listens any more
  const order = await new Promise<SeedOrder>((resolve) => process.once('message', (message) => resolve(message as SeedOrder)));
  try {
    await openDevice(order.device, { threads: 1 });
    const measured = await measureSeed(order.slug, order.seed, labOf(order, (says) => void tell({ says })));
    await tell({ measured });
  } catch (error) {
    const { name, message, code, path } = error as SentError;
    await tell({ failed: { name, message, code, path } });
  }
  return {};
}
