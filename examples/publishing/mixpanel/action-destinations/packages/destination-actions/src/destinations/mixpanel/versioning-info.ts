// Exported by `destinations export segment` from mixpanel 1.0.0.
// By hand: begin
// By hand: end

/** The requests to Mixpanel name no version of its API. */
export {}
