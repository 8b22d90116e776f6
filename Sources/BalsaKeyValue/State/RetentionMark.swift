/// Up to which index old values may be forgotten, as a function of the log alone.
///
/// The mark is the larger of two: the index that lies the retained number of revisions back, and the last index that is older
/// than the retained time. So what has been kept is at least what either limit asks for, whichever asks for less. The second
/// is known from samples, one a second, of which one is older than the retained time and the others are not.
struct RetentionMark: Equatable {
    /// Which entry came at what logical time.
    struct Sample: Equatable {
        var stamp: UInt64
        var index: UInt64
    }

    /// Reads below it are refused. It never falls.
    private(set) var index: UInt64 = 0
    /// By ascending stamp and index.
    private(set) var samples: [Sample] = []

    init() {}

    init(index: UInt64, samples: [Sample]) {
        self.index = index
        self.samples = samples
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
        if let last = samples.last, stamp - last.stamp < options.retentionSampleNanoseconds {
            // The last sample stands for this entry as well: it says a little less than is true.
        } else {
            samples.append(Sample(stamp: stamp, index: index))
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
        samples = kept
        _ = dropOldSamples(stamp, options)
    }

    /// Drops all samples that are as old as the retained time, but for the newest of them, which is returned.
    private mutating func dropOldSamples(_ stamp: UInt64, _ options: ReplicatedOptions) -> Sample? {
        guard stamp >= options.retainedNanoseconds else { return nil }
        let current = samples.partition(above: stamp - options.retainedNanoseconds)
        guard current > 0 else { return nil }
        samples.removeFirst(current - 1)
        return samples[0]
    }
}

extension Array where Element == RetentionMark.Sample {
    /// How many samples, from the front, are not above `stamp`. There are few of them to pass a time, and most times none.
    fileprivate func partition(above stamp: UInt64) -> Int {
        var count = 0
        while count < self.count, self[count].stamp <= stamp { count += 1 }
        return count
    }
}
