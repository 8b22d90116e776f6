/// The scenarios in which the planted errors are found, shrunk to the faults that it takes.
///
/// Made by `balsa simulate --seeds 1..4000 --duration 8s --break NAME --shrink FILE`, to be made anew where a change of the
/// members' timing lets one of them pass.
enum ShrunkScenarios {
    /// Finds `vote-not-persisted`.
    static let voteNotPersisted = """
        balsa-scenario 1
        seed=1
        members=3
        duration=3283766883
        settling=15000000000
        core=10
        clients=1
        keys=4
        thinking=60000000
        patience=2000000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        garbage=0
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        max-frame=8192
        writes-in-flight=2
        log-bound=524288
        log-cache=65536
        checkpoint-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        fault 2141814822 kill-in-call member=1 lasts=1000000000 rate=46 salt=159171130960056
        """

    /// Finds `ack-before-own-sync`.
    static let ackBeforeOwnSync = """
        balsa-scenario 1
        seed=172
        members=3
        duration=5798418214
        settling=15000000000
        core=12
        clients=7
        keys=6
        thinking=100000000
        patience=2000000000
        value-bytes=128
        network-delay=2312000
        network-jitter=100000
        write-time=192000
        sync-time=20000000
        garbage=0
        clock-drift=0
        sector-bytes=512
        smallest-segment=4096
        largest-segment=8192
        max-frame=4096
        writes-in-flight=3
        log-bound=81920
        log-cache=2048
        checkpoint-after=40960
        entries-kept=1
        max-append=700
        inflight-messages=8
        inflight-bytes=200
        fault 1356578176 duplication lasts=8000000000 rate=20 salt=5735211092149
        fault 2937790883 deaf member=3 lasts=1000000000 salt=270616363199591
        fault 4201938472 blackout member=2 lasts=100000000 salt=77587323733995
        """

    /// Finds `commit-old-term-by-counting`.
    static let commitOldTermByCounting = """
        balsa-scenario 1
        seed=90
        members=3
        duration=13983589720
        settling=15000000000
        core=10
        clients=1
        keys=2
        thinking=10000000
        patience=2000000000
        value-bytes=8
        network-delay=1968000
        network-jitter=100000
        write-time=401000
        sync-time=1000000
        garbage=1
        clock-drift=0
        sector-bytes=1024
        smallest-segment=8192
        largest-segment=16384
        max-frame=4096
        writes-in-flight=3
        log-bound=360448
        log-cache=2048
        checkpoint-after=90112
        entries-kept=1
        max-append=100
        inflight-messages=64
        inflight-bytes=65536
        fault 877098933 failed-write member=3 lasts=500000000 salt=133580202131172
        fault 3467265534 failed-sync member=3 lasts=50000000 salt=49366868662717
        fault 3499789294 coups lasts=12000000000 rate=600 salt=124354604878604
        fault 7067028691 failed-write member=1 lasts=500000000 salt=195374763775854
        """

    /// Finds `truncate-without-conflict`.
    static let truncateWithoutConflict = """
        balsa-scenario 1
        seed=8
        members=3
        duration=8000000000
        settling=15000000000
        core=6
        clients=3
        keys=8
        thinking=10000000
        patience=2000000000
        value-bytes=32
        network-delay=1332000
        network-jitter=20000000
        write-time=97000
        sync-time=1000000
        garbage=1
        clock-drift=50
        sector-bytes=1024
        smallest-segment=32768
        largest-segment=131072
        max-frame=4096
        writes-in-flight=1
        log-bound=786432
        log-cache=0
        checkpoint-after=262144
        entries-kept=0
        max-append=700
        inflight-messages=64
        inflight-bytes=2000
        """

    /// Finds `acknowledge-beyond-sent`.
    static let acknowledgeBeyondSent = """
        balsa-scenario 1
        seed=16
        members=3
        duration=3365614254
        settling=15000000000
        core=12
        clients=8
        keys=6
        thinking=30000000
        patience=2000000000
        value-bytes=128
        network-delay=2810000
        network-jitter=20000000
        write-time=213000
        sync-time=1000000
        garbage=0
        clock-drift=50
        sector-bytes=512
        smallest-segment=8192
        largest-segment=32768
        max-frame=4096
        writes-in-flight=2
        log-bound=147456
        log-cache=2048
        checkpoint-after=49152
        entries-kept=100
        max-append=700
        inflight-messages=1
        inflight-bytes=200
        fault 951608984 power-loss-in-call member=2 lasts=1000000000 rate=31 salt=226181841377683
        fault 2743481498 failed-write member=3 lasts=3000000000 salt=122903311791313
        """

    /// Finds `read-before-first-commit`.
    static let readBeforeFirstCommit = """
        balsa-scenario 1
        seed=49
        members=3
        duration=8000000000
        settling=15000000000
        core=14
        clients=7
        keys=4
        thinking=60000000
        patience=2000000000
        value-bytes=600
        network-delay=1228000
        network-jitter=20000000
        write-time=395000
        sync-time=1000000
        garbage=0
        clock-drift=50
        sector-bytes=4096
        smallest-segment=65536
        largest-segment=262144
        max-frame=32768
        writes-in-flight=2
        log-bound=1179648
        log-cache=65536
        checkpoint-after=196608
        entries-kept=0
        max-append=700
        inflight-messages=8
        inflight-bytes=65536
        fault 2361763264 stalled-sync member=2 lasts=50000000 salt=276491318462436
        fault 4208451220 blackout member=3 lasts=1000000000 salt=221812305496500
        """

    /// Finds `withhold-without-check-quorum`.
    static let withholdWithoutCheckQuorum = """
        balsa-scenario 1
        seed=1
        members=3
        duration=8000000000
        settling=15000000000
        core=10
        clients=1
        keys=4
        thinking=60000000
        patience=2000000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        garbage=0
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        max-frame=8192
        writes-in-flight=2
        log-bound=524288
        log-cache=65536
        checkpoint-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        fault 7396000000 deaf member=2 lasts=60000000000 salt=184757568655689
        """

    /// Finds `stale-suffix-after-recycling`.
    static let staleSuffixAfterRecycling = """
        balsa-scenario 1
        seed=216
        members=3
        duration=2650265456
        settling=15000000000
        core=6
        clients=8
        keys=8
        thinking=10000000
        patience=2000000000
        value-bytes=128
        network-delay=2401000
        network-jitter=20000000
        write-time=151000
        sync-time=20000000
        garbage=0
        clock-drift=0
        sector-bytes=512
        smallest-segment=4096
        largest-segment=4096
        max-frame=4096
        writes-in-flight=3
        log-bound=49152
        log-cache=0
        checkpoint-after=8192
        entries-kept=0
        max-append=4096
        inflight-messages=64
        inflight-bytes=65536
        fault 1818047155 failed-write member=1 lasts=8000000000 salt=87008846256372
        fault 2197969893 failed-read member=2 lasts=50000000 salt=216553386595526
        """
}
