import { recordStep, UnsupportedError, type StepCaptureCore, type StepStatus } from '@evenkeel/core-tensor';
// eslint-disable-next-line no-restricted-imports -- a plan's tensors outlive the tidy in which the step is called
import { add, clone, engine, keep, tidy, util, Variable, type DataId, type Tensor, type TensorInfo } from '@tensorflow/tfjs-core';
import type { Arena } from '../bufferPool.ts';
import type { TensorData } from '../stockBackend.ts';
import { behindGate, separate } from './gate.ts';
import { bufferAt, copyLaunch, copyNow, copyOf, dataOf, forgetValues, hold, instanceAt, letGo, swapBuffers } from './host.ts';
import type { HostBackend } from './hostBackend.ts';
import { Replay, type Copy } from './replay.ts';
import { difference, Trace, variablesNow } from './trace.ts';

type StepFunction = (inputs: Tensor[]) => Tensor[];

/**
 * Outside — a tensor that was there before the step, where its values were, and how many tensors may share them: of what replays
 * write over, one more would see its values change.
 */
type Outside = { readonly dataId: DataId; readonly data: TensorData; readonly buffer: GPUBuffer; readonly sharers: number };

/** Plan — what is known of the step for inputs of certain shapes. */
type Plan = {
  readonly inputs: Tensor[];
  readonly arena: Arena;
  constantArena: Arena;
  trace?: Trace;
  replay?: Replay;
  outputs: TensorInfo[];
  /** Variables that the step reads or writes, and where their values were. */
  variables: Map<Variable, DataId>;
  outside: readonly Outside[];
  /** How often kernels had been chosen anew when it was recorded. */
  choices: number;
  replays: number;
  nextCheck: number;
  held: DataId[];
  traces: number;
  isSettled: boolean;
  /** Why it is not settled: what told the last two runs apart. */
  change?: string | undefined;
  refusal?: string;
};

/** Runs that may differ from the one before, until the step counts as one that never settles. */
const MOST_TRACES = 5;
/** Replays after which the step's JavaScript is run again to see whether it still does the same: 2, 4, 8, … 64, and then every 64. */
const FIRST_CHECK = 2;
const CHECK_EVERY = 64;
/** Shapes of inputs for which a step is kept. */
const MOST_PLANS = 4;

/**
 * StepCapture — a step that is traced until two runs launch the same, then replayed. Each traced run is itself carried out by a
 * replay of its trace, so every run computes by the same launches.
 */
export class StepCapture implements StepCaptureCore {
  readonly #backend: HostBackend;
  readonly #plans = new Map<string, Plan>();
  #last: Plan | undefined;

  constructor(backend: HostBackend) {
    this.#backend = backend;
  }

  get status(): StepStatus {
    const plan = this.#last;
    if (plan === undefined) return { state: 'new' };
    if (plan.refusal !== undefined) return { state: 'eager', reason: plan.refusal };
    return plan.isSettled && plan.replay !== undefined ? { state: 'captured', launches: plan.replay.launches } : { state: 'tracing' };
  }

  run(key: string, inputs: readonly Tensor[], f: StepFunction): Tensor[] {
    const plan = this.#last = this.#planFor(key, inputs);
    if (plan.refusal !== undefined) return tidy(() => f([...inputs]).map((result) => clone(result)));
    const isRepeated = plan.isSettled && this.#isValid(plan);
    if (isRepeated && ++plan.replays !== plan.nextCheck) {
      (plan.replay as Replay).renew();
      return this.#carryOut(plan, this.#copiesInto(plan, inputs));
    }
    if (isRepeated) plan.nextCheck += Math.min(plan.nextCheck, CHECK_EVERY);
    const results = this.#traceRun(plan, inputs, f);
    if (isRepeated && !plan.isSettled) this.#sayWhatChanged(plan, results);
    return results;
  }

  dispose(): void {
    for (const plan of this.#plans.values()) this.#free(plan);
    this.#plans.clear();
    this.#last = undefined;
  }

  #planFor(key: string, inputs: readonly Tensor[]): Plan {
    const known = this.#plans.get(key);
    if (known !== undefined) return known;
    if (this.#plans.size >= MOST_PLANS) {
      const [oldest, plan] = [...this.#plans][0] as [string, Plan];
      this.#free(plan);
      this.#plans.delete(oldest);
    }
    const arena: Arena = new Map();
    const slot = ({ shape, dtype }: Tensor): Tensor => {
      const info = this.#backend.makeTensorInfo(shape, dtype);
      this.#backend.during('a captured step', () => this.#backend.pool.within(arena, () => this.#backend.uploadToGPU(info.dataId)));
      return keep(engine().makeTensorFromTensorInfo(info));
    };
    const plan: Plan = { inputs: inputs.map(slot), arena, constantArena: new Map(), outputs: [], variables: new Map(), outside: [], choices: 0, held: [], traces: 0, isSettled: false, replays: 0, nextCheck: FIRST_CHECK };
    this.#plans.set(key, plan);
    return plan;
  }

  /**
   * Whether everything outside that the replay reads or writes is where it was, nothing else shares what it writes, and the step would
   * still take the same kernels.
   */
  #isValid({ outside, variables, choices }: Plan): boolean {
    const { held, tuner } = this.#backend;
    if (choices !== tuner.changes()) return false;
    for (const { dataId, data, buffer, sharers } of outside) if (data.resource !== buffer || data.refCount - (held.get(dataId) ?? 0) > sharers) return false;
    for (const [variable, dataId] of variables) if (variable.dataId !== dataId) return false;
    return true;
  }

  #traceRun(plan: Plan, inputs: readonly Tensor[], f: StepFunction): Tensor[] {
    const backend = this.#backend;
    backend.flush();
    copyNow(backend, this.#copiesInto(plan, inputs));
    this.#release(plan);
    if (plan.isSettled) plan.traces = 0; // something outside was replaced, such as a parameter by a loaded one
    plan.isSettled = false;
    plan.choices = backend.tuner.changes();
    const before = this.#hold(plan);
    const firstNew = (engine() as unknown as { nextTensorId(): number }).nextTensorId();
    const { numTensors } = engine().memory();
    const trace = new Trace(backend.pool.acquired, {
      instanceOf: ({ dataId }) => {
        backend.uploadToGPU(dataId);
        return instanceAt(backend, dataId);
      },
      acquired: (buffer) => backend.pool.use(buffer).acquired,
      behindGate: (gate, call) => behindGate(backend, trace, gate, call),
      giveUp: () => this.#giveUp(trace),
    });
    backend.trace = trace;
    let results: Tensor[];
    try {
      results = backend.pool.within(plan.arena, () => recordStep(trace, () => tidy(() => {
        const made = f(plan.inputs);
        this.#separate(plan, before);
        for (const { dataId } of made) backend.uploadToGPU(dataId);
        return made;
      })));
    } catch (error) {
      trace.refuse('it threw an error'); // carries out what was launched before, as an eager run would have
      this.#release(plan);
      backend.pool.adopt(trace.constantArena);
      throw error;
    } finally {
      backend.trace = undefined;
    }
    if (trace.refusal !== undefined) {
      const isOwn = ({ id }: Tensor, i: number): boolean => id > firstNew && results.findIndex((each) => each.id === id) === i;
      const kept = results.map((result, i) => (isOwn(result, i) && !(result instanceof Variable) ? result : clone(result)));
      this.#refuse(plan, trace.refusal);
      return kept;
    }
    return this.#finish(plan, trace, { results, before, firstNew, numTensors });
  }

  /** Carries the traced run out, and keeps it if the run before was the same. */
  #finish(
    plan: Plan, trace: Trace, { results, before, firstNew, numTensors }: { results: readonly Tensor[]; before: ReadonlyMap<Variable, DataId>; firstNew: number; numTensors: number },
  ): Tensor[] {
    const backend = this.#backend;
    const previous = plan.trace;
    trace.results.push(...results.map(({ dataId }) => instanceAt(backend, dataId)));
    const left = engine().memory().numTensors - numTensors - new Set(results.filter(({ id }) => id > firstNew)).size;
    const shared = this.#carryBack(plan, trace, before) ?? (left > 0 ? `${left} tensors that it made were kept` : undefined);
    plan.replay?.dispose();
    backend.pool.adopt(plan.constantArena);
    plan.constantArena = trace.constantArena;
    plan.replay = new Replay(backend.device, backend.pipelines, trace);
    plan.trace = trace;
    plan.outputs = results.map(({ dataId, shape, dtype }) => ({ dataId, shape, dtype }));
    const written = new Set(trace.launches.flatMap(({ writes }) => writes));
    plan.outside = [...trace.outside].map(([dataId, buffer]): Outside => (
      { dataId, data: dataOf(backend, dataId), buffer, sharers: written.has(buffer) ? backend.refCount(dataId) : Infinity }));
    plan.variables = new Map([...before.keys()].filter(({ dataId }) => trace.outside.has(dataId)).map((variable) => [variable, variable.dataId]));
    plan.traces += 1;
    const outputs = this.#carryOut(plan, []);
    plan.change = shared ?? (previous === undefined ? 'it was recorded once' : difference(previous, trace));
    plan.isSettled = plan.change === undefined;
    if (shared !== undefined) plan.trace = undefined; // a replay would not find the variable where it is now
    // The tensors of the results stay alive within the plan: their buffers are what each replay copies its results from.
    for (const result of results) {
      hold(backend, result.dataId);
      plan.held.push(result.dataId);
      if (result.id > firstNew && !(result instanceof Variable)) result.dispose();
    }
    if (plan.change !== undefined && plan.traces >= MOST_TRACES) this.#refuse(plan, plan.change);
    if (plan.isSettled) backend.pool.trim(true); // what eager runs left behind
    return outputs;
  }

  /** The step changed after it was settled: replays since then may have done what it did before. */
  #sayWhatChanged(plan: Plan, results: readonly Tensor[]): never {
    results.forEach((result) => result.dispose());
    throw new UnsupportedError(
      `captureStep: fn must do the same in every call, but ${plan.change ?? plan.refusal ?? 'it does not'}. Give what changes as an input or a number, or announce it by perStep; or do not capture the step.`);
  }

  /** Submits the replay, and returns its results in tensors of their own. */
  #carryOut(plan: Plan, before: readonly Copy[]): Tensor[] {
    const backend = this.#backend;
    backend.flush();
    const outputs = plan.outputs.map(({ dataId, shape, dtype }) => {
      const info = backend.makeTensorInfo(shape, dtype);
      backend.uploadToGPU(info.dataId);
      return { info, copy: { from: bufferAt(backend, dataId) as GPUBuffer, to: bufferAt(backend, info.dataId) as GPUBuffer, bytes: bytesOf(shape) } };
    });
    backend.during('a captured step', () => (plan.replay as Replay).run(before, outputs.map(({ copy }) => copy), backend.profiler));
    for (const { data } of plan.outside) forgetValues(data);
    backend.pool.submitted();
    return outputs.map(({ info }) => engine().makeTensorFromTensorInfo(info));
  }

  #copiesInto({ inputs: slots }: Plan, inputs: readonly Tensor[]): Copy[] {
    return inputs.flatMap((input, i) => {
      const data = this.#backend.tensorMap.get(input.dataId);
      // The CPU backend casts by a new name for the same data: such an input is converted first.
      const isRenamed = (data.dtype === 'float32') !== (input.dtype === 'float32');
      const source = isRenamed ? add(input, 0) : input;
      if (isRenamed) this.#backend.flush(); // the conversion comes before the copy
      const copy = copyOf(this.#backend, source.dataId, bufferAt(this.#backend, (slots[i] as Tensor).dataId) as GPUBuffer, bytesOf(input.shape));
      if (isRenamed) source.dispose(); // its buffer is read in order, before anybody writes there
      return copy ?? [];
    });
  }

  /** Puts all variables on the device and keeps their values alive during a traced run, so that one that is assigned anew can be told. */
  #hold(plan: Plan): Map<Variable, DataId> {
    const variables = variablesNow();
    for (const dataId of variables.values()) {
      if (!this.#backend.tensorMap.has(dataId)) continue; // a variable of another backend
      this.#backend.uploadToGPU(dataId);
      hold(this.#backend, dataId);
    }
    plan.held.push(...variables.values());
    return variables;
  }

  /** Gives a variable values of its own where it was assigned those of an input, into which the next run's are copied, or of another. */
  #separate({ inputs }: Plan, before: ReadonlyMap<Variable, DataId>): void {
    const taken = new Set<DataId>(inputs.map(({ dataId }) => dataId));
    for (const [variable, dataId] of before) {
      if (variable.isDisposed || variable.dataId === dataId) continue;
      if (taken.has(variable.dataId)) separate(variable);
      taken.add(variable.dataId);
    }
  }

  /**
   * A variable that the step assigned anew gets its old buffer back, with the new values copied into it: there the next run reads.
   * Not where another tensor still has the old values, or the new ones are another variable's too: then the variable stays where it
   * is now, and the next run is another one. Returns what was so, if anything.
   */
  #carryBack(plan: Plan, trace: Trace, before: ReadonlyMap<Variable, DataId>): string | undefined {
    const backend = this.#backend;
    const assigned = [...before].filter(([variable, dataId]) => !variable.isDisposed && variable.dataId !== dataId);
    const staysPut = ([variable, dataId]: (typeof assigned)[number]): boolean => bufferAt(backend, dataId) === undefined || bufferAt(backend, variable.dataId) === undefined
      || backend.refCount(dataId) > 0 || assigned.filter(([other]) => other.dataId === variable.dataId).length > 1;
    const staying = new Set(assigned.filter(staysPut).map(([variable]) => variable));
    const stillHeld: DataId[] = [];
    for (const [variable, dataId] of before) {
      if (variable.isDisposed || variable.dataId === dataId || staying.has(variable)) {
        letGo(backend, dataId);
        continue;
      }
      const [from, to] = swapBuffers(backend, variable.dataId, dataId);
      const last = trace.launches.findLast(({ writes }) => writes.includes(from));
      const gate = last?.isOtherwise === true ? undefined : last?.gate; // behind one, a variable gets its old values if that is closed
      trace.add(copyLaunch(backend, [from, to], { count: variable.size, gate }));
      trace.outside.delete(dataId);
      trace.outside.set(variable.dataId, to);
      stillHeld.push(dataId);
    }
    plan.held = stillHeld;
    const [first] = staying;
    return first && `a variable of shape [${first.shape.join(', ')}] was assigned anew, and its values are also another tensor's (dispose that one) or only on the CPU`;
  }

  /** Runs what was launched so far; from here on the step runs eagerly. */
  #giveUp(trace: Trace): void {
    const backend = this.#backend;
    backend.trace = undefined;
    backend.flush();
    const replay = new Replay(backend.device, backend.pipelines, trace);
    backend.during('a step that cannot be captured', () => replay.run([], []));
    backend.pool.submitted();
    replay.dispose();
  }

  #refuse(plan: Plan, reason: string): void {
    const { inputs } = plan;
    this.#free(plan);
    plan.refusal = reason;
    plan.inputs.splice(0, inputs.length);
  }

  #release(plan: Plan): void {
    for (const dataId of plan.held) letGo(this.#backend, dataId);
    plan.held = [];
  }

  #free(plan: Plan): void {
    this.#release(plan);
    for (const slot of plan.inputs) slot.dispose();
    plan.replay?.dispose();
    plan.replay = undefined;
    plan.trace = undefined;
    this.#backend.pool.adopt(plan.arena);
    this.#backend.pool.adopt(plan.constantArena);
  }
}

const bytesOf = (shape: readonly number[]): number => 4 * util.sizeFromShape(shape as number[]);
