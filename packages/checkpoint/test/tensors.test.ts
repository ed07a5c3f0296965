import { setBackend, tensor, variable, type Tensor } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { UnsupportedError } from '@evenkeel/core-tensor';
import { entriesFromTensors, parseSafetensors, serializeSafetensors, tensorFromEntry, type Dtype, type EntryData } from '@evenkeel/checkpoint';
import { expectNoLeak } from '@evenkeel/testing';
import { beforeAll, describe, expect, it } from 'vitest';

beforeAll(() => setBackend('cpu'));
const entry = (dtype: Dtype, data: EntryData) => ({ dtype, shape: [data.length], data });

describe('entriesFromTensors', () => {
  it('entriesFromTensors then a file then tensorFromEntry gives equal tensors', async () => {
    const tensors: Record<string, Tensor> = {
      matrix: tensor([1, 2, 3, 4, 5, 6], [2, 3]), scalar: tensor(0.1), empty: tensor([], [2, 0]),
      ids: tensor([-1, 7], [2], 'int32'), mask: tensor([1, 0, 1], [3], 'bool'),
    };
    const file = serializeSafetensors(await entriesFromTensors(tensors));
    for (const [name, entry] of Object.entries(parseSafetensors(file).tensors)) {
      const back = tensorFromEntry(entry, name);
      expect([back.dtype, back.shape]).toEqual([tensors[name]?.dtype, tensors[name]?.shape]);
      expect(await back.data()).toEqual(await tensors[name]?.data());
    }
  });

  it('entriesFromTensors gives copies that a later assign does not change', async () => {
    const x = variable(tensor([1, 2]));
    const { weight } = await entriesFromTensors({ weight: x });
    (await x.data<'float32'>())[0] = 9;
    expect(weight?.data).toEqual(Float32Array.of(1, 2));
  });

  it('entriesFromTensors({ dtype }) saves floats narrower and integers as they are', async () => {
    const tensors = { w: tensor([1, -2]), ids: tensor([3], [1], 'int32') };
    expect({ ...(await entriesFromTensors(tensors, { dtype: 'BF16' })) }).toEqual({
      w: { dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3f80, 0xc000) }, ids: { dtype: 'I32', shape: [1], data: Int32Array.of(3) },
    });
  });

  it('entriesFromTensors refuses strings', async () => {
    await expect(entriesFromTensors({ names: tensor(['a']) })).rejects.toThrow(UnsupportedError);
  });
});

describe('tensorFromEntry', () => {
  it('tensorFromEntry widens half floats to float32 and narrows 64-bit integers to int32', async () => {
    const half = tensorFromEntry(entry('F16', Uint16Array.of(0x3c00)));
    expect([half.dtype, ...(await half.data())]).toEqual(['float32', 1]);
    const long = tensorFromEntry(entry('I64', BigInt64Array.of(-5n)));
    expect([long.dtype, ...(await long.data())]).toEqual(['int32', -5]);
    expect(() => tensorFromEntry(entry('I64', BigInt64Array.of(2n ** 40n)), 'ids')).toThrow('values of "ids" must fit 32 bits');
    expect(() => tensorFromEntry(entry('C64', Float32Array.of(1, 2)), 'c')).toThrow('dtype of "c" must be F32, BF16, F16 or F64, got C64');
  });

  it('tensorFromEntry shares no memory with the entry', async () => {
    for (const source of [entry('F32', Float32Array.of(1)), entry('I32', Int32Array.of(1))]) {
      const x = tensorFromEntry(source);
      source.data[0] = 2 as never;
      expect([...(await x.data())]).toEqual([1]);
    }
  });

  it('tensorFromEntry adds one tensor, also none when it throws', async () => {
    await expectNoLeak(() => tensorFromEntry(entry('F64', Float64Array.of(1, 2))));
    await expectNoLeak(() => tensorFromEntry(entry('F64', Float64Array.of(1e300))), { throws: 'must be in range' });
  });
});
