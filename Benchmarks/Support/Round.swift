/// The workloads that write. Each gives every key another value, by its raw value.
enum Round: UInt8, CaseIterable {
    case fillseq = 0
    case fillbatch
    case fillsync
    case fillsync8
    case fillrandom
    case overwrite
    case readwhilewriting
}
