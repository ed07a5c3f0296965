/** The words of flags that take one of a few; apart, so that reading a command line loads no technique. */
export const PLACEMENTS = ['pre', 'post', 'peri', 'output', 'lns', 'deepnorm', 'none'] as const;
export const NORMS = ['layer', 'rms'] as const;
/** What sigmaReparam's gamma starts at. */
export const GAMMAS = ['none', 'one', 'spectral'] as const;
export const OPTIMIZERS = ['adamw', 'sgd-sai', 'lars', 'lamb', 'lion', 'adafactor', 'muon', 'sgd'] as const;
export const DECAY_MODES = ['coupled', 'independent'] as const;
export const SCHEDULES = ['cosine', 'wsd', 'constant'] as const;
/** What happens to the images of training batches. */
export const AUGMENTS = ['none', 'crop', 'basic', 'deit'] as const;
/** Which encoder. */
export const ARCHS = ['bert', 'mosaic'] as const;
/** What a checkpoint is fine-tuned for: kinds of tasks, and those of GLUE with their recipes. */
export const TASK_KINDS = ['classification', 'regression', 'token-classification', 'qa', 'image-classification'] as const;
export const PRESETS = ['sst2', 'cola', 'mnli', 'qqp', 'qnli', 'rte', 'mrpc', 'stsb'] as const;
/** What is a sequence of a text. */
export const SEQUENCES = ['line', 'paragraph'] as const;
