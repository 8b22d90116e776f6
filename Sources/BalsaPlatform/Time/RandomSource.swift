/// A seeded source of random numbers (SplitMix64, Steele, Lea and Flood 2014).
///
/// A value: equal seeds give equal sequences on every machine and in every release. It serves decisions, not secrets.
/// Draws into ranges are its own, since the standard library does not promise to keep its mapping.
public struct RandomSource: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// A source whose whole sequence is determined by `seed`.
    public init(seed: UInt64) { state = seed }

    /// 64 random bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return RandomSource.mix(state)
    }

    /// The finalizer of SplitMix64: a bijection in which every input bit changes about half of the output bits.
    public static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        // Masking shifts cost nothing even without optimization.
        z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z &>> 31)
    }

    /// A source of its own for a part of the system, so that draws of one part never shift those of another.
    public mutating func fork() -> RandomSource { RandomSource(seed: next()) }

    /// A number below `bound`, each equally likely to within 2⁻³² for bounds that are smaller than that.
    ///
    /// - Precondition: `bound` is greater than 0.
    public mutating func below(_ bound: UInt64) -> UInt64 {
        precondition(bound > 0, "there is no number below 0")
        return next().multipliedFullWidth(by: bound).high
    }

    /// A number of `range`.
    public mutating func draw(_ range: ClosedRange<Int>) -> Int {
        // Counted with wrap-around, since the width of a range may exceed every `Int`.
        let width = UInt64(truncatingIfNeeded: range.upperBound &- range.lowerBound)
        let step = width == .max ? next() : below(width + 1)
        return range.lowerBound &+ Int(truncatingIfNeeded: step)
    }

    /// True with the probability `parts` in `whole`.
    public mutating func chance(_ parts: UInt64, in whole: UInt64) -> Bool { below(whole) < parts }

    /// One of `choices`.
    ///
    /// - Precondition: there is one.
    public mutating func pick<Choice>(_ choices: [Choice]) -> Choice {
        choices[Int(below(UInt64(choices.count)))]
    }
}
