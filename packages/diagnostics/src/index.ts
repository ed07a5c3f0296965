export { monitor, type MonitorOptions } from './monitor/monitor.ts';
export type { Watch } from './monitor/watch.ts';
export type { Thresholds } from './monitor/thresholds.ts';
export { attentionEntropy, headEntropy, type AttentionEntropyOptions, type VisibleKeys } from './attentionEntropy.ts';
export { logPartition } from './logPartition.ts';
export { rootMeanSquares } from './rootMeanSquares.ts';
export { lrSensitivity, type LearningRatePoint, type LrSensitivityOptions } from './lrSensitivity.ts';
export type { Point } from './fitting/point.ts';
export type { Goodness } from './fitting/goodness.ts';
export { fitLogLogQuadratic, type LogLogQuadratic } from './fitting/fitLogLogQuadratic.ts';
export { fitPowerLaw, type PowerLaw, type PowerLawOptions } from './fitting/fitPowerLaw.ts';
export { lambertW } from './fitting/lambertW.ts';
export { findMassiveActivations, type FindMassiveActivationsOptions, type MassiveActivation } from './massive/findMassiveActivations.ts';
export {
  massiveActivationTracker, type MassiveActivationReading, type MassiveActivationTracker, type MassiveActivationTrackerOptions,
} from './massive/massiveActivationTracker.ts';
export {
  fromShiftedCurve, massiveActivationCurve, massiveActivationCurveGradient, peakOf, shiftedCurve, toShiftedCurve, type MassiveActivationCurve,
  type ShiftedCurve,
} from './massive/massiveActivationCurve.ts';
export { fitMassiveActivationCurve, type FittedMassiveActivationCurve } from './massive/fitMassiveActivationCurve.ts';
export {
  firstOrderStepResponse, fitFirstOrderStepResponse, fitSecondOrderStepResponse, secondOrderStepResponse, type FirstOrderResponse,
  type SecondOrderResponse,
} from './massive/fitStepResponse.ts';
export { architectureFeatures, type Architecture } from './predictors/architectureFeatures.ts';
export { crossValidate, fitRidge, type Ridge, type RidgeOptions, type RidgeSample } from './predictors/fitRidge.ts';
export { fitCurvePredictors, type CurvePredictors, type CurveSample } from './predictors/fitCurvePredictors.ts';
export { collectHidden } from './layers/collectHidden.ts';
export { angularDistance } from './layers/angularDistance.ts';
export { layerVariances } from './layers/layerVariances.ts';
export { layerDropAblation, withoutBlock, type LayerDrops } from './layers/layerDropAblation.ts';
export { spectralNorms, type SpectralNormsOptions } from './layers/spectralNorms.ts';
