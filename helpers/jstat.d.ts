/** The part of jstat 1.9 that is used here; the package has no types of its own. */
declare module 'jstat' {
  const jstat: {
    chisquare: {
      /** P(X <= x) for a chi-square distribution with `df` degrees of freedom. */
      cdf(x: number, df: number): number;
    };
    normal: {
      /** The x with P(X <= x) = p. */
      inv(p: number, mean: number, deviation: number): number;
    };
    beta: {
      /** The x with P(X <= x) = p. */
      inv(p: number, alpha: number, beta: number): number;
    };
    /** The middle one, or the mean of the two in the middle. */
    median(values: readonly number[]): number;
    quartiles(values: readonly number[]): [lower: number, median: number, upper: number];
  };
  export default jstat;
}
