// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: versioning-info.ts 9a634adb636698a7
/** The requests to Mixpanel name no version of its API. */
export {}

// By hand: begin
// By hand: end
