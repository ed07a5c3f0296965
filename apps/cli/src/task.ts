import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { Device, GradientTransform, Params, Schedule, Tree } from '@evenkeel/core-tensor';
import type { Evaluation, ModelState, PageSection, RunConfig, StepContext, Tile } from '@evenkeel/training';
import type { Test } from './fields.ts';
import type { Io } from './output.ts';
import type { Unit } from './progress.ts';
import type { Flags, RunSettings } from './runSettings.ts';

/** Task — a model with its values as they are now, what it learns from, and how: what a kind of run adds to what all runs have in common. */
export type Task<B = unknown> = {
  /** Trained in place. */
  readonly params: Tree<Variable>;
  /** How many parameters the model has, where only some of them are trained. */
  readonly modelSize?: number;
  /** Untrained values that follow the trained ones. */
  readonly modelState?: ModelState;
  readonly optimizer: GradientTransform;
  readonly schedule: Schedule;
  /** Beside which the optimizer's steps shrink, for the monitor; default 0. */
  readonly stepEps?: number;
  loss(params: Tree<Variable>, batch: B, context: StepContext): Tensor;
  /** The batch of a step: a function of the step alone. */
  batches(step: number): B | Promise<B>;
  /** The validation loss now, and other measures; absent without validation data. */
  readonly evaluate?: () => Promise<number | Evaluation>;
  /** How many tokens, images or sequences a step sees. */
  readonly perStep: { readonly count: number; readonly unit: Unit };
  /** What decides the run besides its settings: the size of the vocabulary, the names of the classes. */
  readonly facts: RunConfig;
  /** What is trained on what, for people: a label in front of a line, or none where it goes on. */
  readonly about: readonly (readonly [label: string, text: string])[];
  /** Writes the model as it is now. */
  save(directory: string): Promise<void>;
  /** Is told after each evaluation, so that the best model can be kept. */
  evaluated?(directory: string, at: { readonly step: number; readonly values: Readonly<Record<string, number>> }): Promise<void>;
  /** Measures the trained model. */
  conclude(io: Io, directory: string): Promise<Conclusion>;
  dispose(): void;
};

/** Conclusion — what is said of a trained model. */
export type Conclusion = {
  /** Over the validation data; absent without any. */
  readonly valLoss?: number;
  /** Fields of the result with `--json`. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** For people: a name and what was measured. */
  readonly measured: readonly (readonly [name: string, text: string])[];
  /** A text the model made. */
  readonly sample?: string;
  readonly tiles?: readonly Tile[];
  readonly sections?: readonly PageSection[];
  /** What to do with the model, and the words of the command behind the program's name; `DIR` stands for its directory. */
  readonly next: readonly [says: string, command: string];
};

/** Facts — what the preparation of a run found out about its data; kept in `run.json`. */
export type Facts = Readonly<Record<string, unknown>>;

/** Place — where a new run is prepared. */
export type Place = {
  /** A hidden directory: what is written there becomes the run's. */
  readonly workshop: string;
  /** Opens the device of the run, once everything cheaper has been checked. */
  readonly device: () => Promise<Device>;
};

/** Family — a kind of run: `train gpt`, `train vit`, `finetune`. */
export type Family<S extends RunSettings = RunSettings, F extends Flags = Flags> = {
  /** As on the command line. */
  readonly command: string;
  /** In the names of run directories: `runs/vit-…`. */
  readonly slug: string;
  /** Of the report. */
  readonly title: string;
  /** Below the title; default nothing. */
  subtitle?(settings: S): string;
  /** The settings that the report lists; default all. */
  listed?(settings: S): object;
  /** Whether the exponential of the loss is a perplexity; default false. */
  readonly perplexity?: boolean;
  /** What settings and facts must be, where `run.json` says them. */
  readonly tests: { readonly settings: Readonly<Record<keyof S, Test>>; readonly facts: Readonly<Record<string, Test>> };
  /** Settings that were not always there, and what runs without them had. */
  readonly later?: Partial<S>;
  /** Settings and facts of a new run; and the task, where it is made on the way. */
  begin(flags: F, place: Place): Promise<{ readonly settings: S; readonly facts: Facts; readonly task?: Task }>;
  /** Throws UsageError unless settings fit together and onto the device: those of a run that goes on. */
  check(settings: S, facts: Facts, device: string): void;
  /** The data and the model of a run that was begun. */
  open(settings: S, facts: Facts, directory: string): Promise<Task>;
};

/** AnyFamily — whichever it is. */
export type AnyFamily = Family<RunSettings, never>;

/** paramsOf — a model's parameters as a task has them. */
export const paramsOf = (params: Params): Tree<Variable> => params;
