/// Up to which index old values may be forgotten, as a function of the log alone.
///
/// The mark is the larger of two: the index that lies the retained number of revisions back, and the last index that is older
/// than the retained time. So what has been kept is at least what either limit asks for, whichever asks for less. The second
/// is known from samples, one a second, of which one is older than the retained time and the others are not.
///
/// Dropped samples are kept in place until they are half of the whole, so that dropping one costs constant time however
/// many there are.
struct RetentionMark: Equatable {
    /// Which entry came at what logical time.
    struct Sample: Equatable {
        var stamp: UInt64
        var index: UInt64
    }

    /// Reads below it are refused. It never falls.
    private(set) var index: UInt64 = 0
    private var storage: [Sample] = []
    /// How many of the storage's samples are dropped.
    private var start = 0

    /// By ascending stamp and index.
    var samples: ArraySlice<Sample> { storage[start...] }

    /// How many samples are in memory, the dropped ones included.
    var placeCount: Int { storage.count }

    init() {}

    init(index: UInt64, samples: [Sample]) {
        self.index = index
        storage = samples
    }

    /// Whether two say the same, whatever they have kept in place.
    static func == (left: RetentionMark, right: RetentionMark) -> Bool {
        left.index == right.index && left.samples == right.samples
    }

    /// How many samples there can be: those that are not old enough, the newest that is, and the one just taken. The
    /// largest number where they cannot be counted.
    static func maxSamples(_ options: ReplicatedOptions) -> UInt64 {
        let periods = options.retainedNanoseconds / max(options.retentionSampleNanoseconds, 1)
        let (count, overflow) = periods.addingReportingOverflow(2)
        return overflow ? .max : count
    }

    /// Takes note of an entry.
    mutating func advance(index: UInt64, stamp: UInt64, options: ReplicatedOptions) {
        // The newest sample is never dropped.
        if let last = storage.last, stamp - last.stamp < options.retentionSampleNanoseconds {
            // The last sample stands for this entry as well: it says a little less than is true.
        } else {
            storage.append(Sample(stamp: stamp, index: index))
        }
        if let old = dropOldSamples(stamp, options) { self.index = max(self.index, old.index) }
        if index > options.retainedRevisions { self.index = max(self.index, index - options.retainedRevisions) }
    }

    /// Drops what other options need no more, at the time `stamp`. The mark stays: it moves with the entries that
    /// follow.
    ///
    /// A sample that is closer to the one before it than the new distance goes. The one before stands for its entries
    /// too, and says a little less than is true.
    mutating func change(_ options: ReplicatedOptions, stamp: UInt64) {
        var kept: [Sample] = []
        for sample in samples {
            if let last = kept.last, sample.stamp - last.stamp < options.retentionSampleNanoseconds { continue }
            kept.append(sample)
        }
        storage = kept
        start = 0
        _ = dropOldSamples(stamp, options)
    }

    /// Drops all samples that are as old as the retained time, but for the newest of them, which is returned.
    private mutating func dropOldSamples(_ stamp: UInt64, _ options: ReplicatedOptions) -> Sample? {
        guard stamp >= options.retainedNanoseconds else { return nil }
        let current = firstPlace(above: stamp - options.retainedNanoseconds)
        guard current > start else { return nil }
        start = current - 1
        let newest = storage[start]
        if start > storage.count / 2 {
            storage.removeFirst(start)
            start = 0
        }
        return newest
    }

    /// The place of the first sample that is above `stamp`. Logarithmic in the number of samples.
    private func firstPlace(above stamp: UInt64) -> Int {
        var low = start
        var high = storage.count
        while low < high {
            let middle = low + (high - low) / 2
            if storage[middle].stamp <= stamp { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
