import BalsaKeyValue
import BalsaLSM
import BalsaPlatform

extension SpaceBenchmark {
    // MARK: Descending

    /// A descending scan of three keys, one of which was overwritten many times.
    func descending(in part: WorkFolder) throws(BenchmarkError) {
        for isFlushed in [false, true] {
            var times: [Double] = []
            for versions in [arguments.versions / 2, arguments.versions] {
                let machine = try MeasuredMachine(part.path + "/\(versions)-\(isFlushed)")
                defer { machine.close() }
                for key in ["a", "z"] { try machine.apply(.put(key: Bytes(key), value: "value")) }
                for version in 0..<versions {
                    try machine.apply(.put(key: "hot", value: Bytes("\(version)")))
                }
                if isFlushed { try machine.settle() }
                var calls = CallTimes()
                for _ in 0..<500 {
                    let page = try calls.time { () throws(BenchmarkError) in
                        try measured { () throws(KeyValueError) in
                            try machine.machine.scan(limit: 10, order: .descending)
                        }
                    }
                    guard page.pairs.map(\.key) == ["z", "hot", "a"], page.continuation == nil else {
                        throw BenchmarkError("a descending scan gave \(page.pairs.count) pairs")
                    }
                }
                note("\(versions) versions: \(calls.description)")
                times.append(calls.shortest)
            }
            let name = "descending, " + (isFlushed ? "in tables" : "in memory")
            let ratio = times[1] / max(times[0], 1e-6)
            try report(name, ratio, places: 2, atMost: 2, "times as long")
        }
    }
}
