/** ShapeError — a tensor has the wrong rank, sizes or dtype. */
export class ShapeError extends Error {
  override name = 'ShapeError';
}

/** ConfigError — an option, a file or a combination of settings is not valid. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/** UnsupportedError — the request is valid but this device, backend or build cannot do it. */
export class UnsupportedError extends Error {
  override name = 'UnsupportedError';
}
