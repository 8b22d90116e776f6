/// The scenarios in which the planted errors are found, shrunk to the faults that it takes. Properties that have their
/// defaults are left out.
///
/// Made by `balsa simulate --seeds 1..4000 --duration 8s --break NAME --shrink FILE`, to be made anew where a change of the members' timing lets one of them pass.
enum ShrunkScenarios {
    /// Finds `vote-not-persisted`.
    static let voteNotPersisted = """
        balsa-scenario 1
        seed=1
        duration=3224889414
        core=10
        clients=1
        thinking=60000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        log-bound=524288
        log-cache=65536
        seal-state-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        apply-page=65536
        work-budget=16384
        memtable-bytes=8192
        block-bytes=1024
        table-bytes=8192
        level-zero-tables=4
        level-base=16384
        level-ratio=4
        filter-bits=0
        cache-bytes=0
        retained-revisions=0
        fault 2141814822 kill-in-call member=1 lasts=1000000000 rate=46 salt=159171130960056
        """

    /// Finds `ack-before-own-sync`.
    static let ackBeforeOwnSync = """
        balsa-scenario 1
        seed=6
        duration=2064957024
        core=14
        clients=1
        keys=6
        thinking=30000000
        value-bytes=600
        network-delay=1851000
        network-jitter=5000000
        write-time=415000
        sync-time=1000000
        smallest-segment=8192
        largest-segment=8192
        max-frame=4096
        writes-in-flight=3
        log-bound=245760
        log-cache=2048
        seal-state-after=49152
        entries-kept=1
        max-append=100
        inflight-messages=1
        inflight-bytes=200
        work-budget=16384
        memtable-bytes=2048
        block-bytes=128
        table-bytes=512
        level-zero-tables=1
        level-base=1024
        filter-bits=4
        cache-bytes=65536
        manifest-bytes=65536
        max-sessions=3
        retained-revisions=50
        fault 2042004004 stalled-sync member=3 lasts=500000000 salt=113010242473772
        """

    /// Finds `commit-old-term-by-counting`.
    static let commitOldTermByCounting = """
        balsa-scenario 1
        seed=721
        duration=4550765582
        core=14
        clients=5
        keys=3
        thinking=10000000
        value-bytes=600
        network-delay=121000
        network-jitter=20000000
        write-time=422000
        sync-time=1000000
        clock-drift=50
        sector-bytes=1024
        smallest-segment=8192
        max-frame=4096
        writes-in-flight=4
        log-bound=131072
        log-cache=2048
        seal-state-after=32768
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=2000
        apply-page=65536
        work-budget=2048
        memtable-bytes=512
        table-bytes=512
        level-zero-tables=1
        level-base=16384
        level-ratio=4
        filter-bits=0
        cache-bytes=65536
        manifest-bytes=4096
        max-sessions=3
        session-idle=5000000000
        retained-revisions=50
        fault 1891000 pause member=3 lasts=300000000 salt=161879750666262
        fault 1000000000 coups lasts=8000000000 rate=700 salt=142467927044251
        fault 1568759182 no-space member=1 lasts=50000000 salt=12552041214486
        """

    /// Finds `truncate-without-conflict`.
    static let truncateWithoutConflict = """
        balsa-scenario 1
        seed=8
        duration=8000000000
        core=6
        keys=8
        thinking=10000000
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
        seal-state-after=262144
        entries-kept=0
        max-append=700
        inflight-messages=64
        inflight-bytes=2000
        apply-page=64
        work-budget=2048
        memtable-bytes=2048
        level-zero-tables=3
        level-base=16384
        level-ratio=2
        filter-bits=0
        cache-bytes=1024
        manifest-bytes=65536
        retained-revisions=50
        fault 1250873986 failed-read member=1 lasts=50000000 salt=263357157609836
        """

    /// Finds `acknowledge-beyond-sent`.
    static let acknowledgeBeyondSent = """
        balsa-scenario 1
        seed=33
        duration=8000000000
        core=12
        clients=2
        keys=2
        thinking=60000000
        value-bytes=128
        network-delay=1054000
        network-jitter=100000
        write-time=106000
        sync-time=1000000
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=131072
        max-frame=16384
        writes-in-flight=4
        log-bound=1474560
        log-cache=0
        seal-state-after=294912
        entries-kept=1
        max-append=4096
        inflight-bytes=200
        work-budget=256
        memtable-bytes=2048
        block-bytes=1024
        table-bytes=8192
        level-zero-tables=1
        level-ratio=4
        filter-bits=4
        cache-bytes=65536
        manifest-bytes=512
        max-sessions=8
        retained-revisions=0
        fault 1907568070 coups lasts=8000000000 rate=600 salt=33561731778762
        fault 2192588779 power-loss member=1 lasts=1000000 salt=177121042729150
        fault 4586668281 power-loss-of-leader member=2 lasts=5000000000 salt=145457868965852
        """

    /// Finds `read-before-first-commit`.
    static let readBeforeFirstCommit = """
        balsa-scenario 1
        seed=66
        duration=8000000000
        core=14
        keys=5
        thinking=30000000
        value-bytes=8
        network-delay=1570000
        network-jitter=20000000
        write-time=82000
        sync-time=20000000
        garbage=1
        clock-drift=10
        largest-segment=4096
        max-frame=4096
        log-bound=32768
        log-cache=2048
        seal-state-after=8192
        entries-kept=0
        max-append=100
        inflight-messages=64
        inflight-bytes=2000
        chunk-bytes=8192
        work-budget=2048
        memtable-bytes=512
        block-bytes=1024
        level-zero-tables=1
        level-ratio=4
        filter-bits=4
        cache-bytes=1024
        manifest-bytes=131072
        retained-revisions=5
        fault 74518000 kill-in-call member=1 lasts=300000000 rate=3 salt=165493667557983
        fault 2748271240 kill member=1 lasts=5000000000 salt=242773782625151
        fault 2806880226 loss lasts=3000000000 rate=100 salt=215296263038872
        fault 4051859495 blackout member=1 lasts=400000000 salt=136219171728463
        """

    /// Finds `withhold-without-check-quorum`.
    static let withholdWithoutCheckQuorum = """
        balsa-scenario 1
        seed=60
        duration=8000000000
        core=12
        clients=7
        keys=7
        thinking=30000000
        value-bytes=600
        network-delay=840000
        network-jitter=5000000
        write-time=384000
        sync-time=5000000
        smallest-segment=16384
        largest-segment=16384
        max-frame=4096
        writes-in-flight=4
        log-bound=131072
        log-cache=65536
        entries-kept=10
        max-append=100
        inflight-messages=1
        inflight-bytes=65536
        apply-page=64
        chunk-bytes=512
        work-budget=2048
        memtable-bytes=8192
        block-bytes=1024
        level-zero-tables=3
        level-base=1024
        filter-bits=4
        cache-bytes=1024
        retained-revisions=50
        fault 1552760259 duplication lasts=1000000000 rate=100 salt=218459465378038
        fault 2334304817 failed-sync member=2 lasts=500000000 salt=233378582905955
        fault 7573000000 deaf member=1 lasts=60000000000 salt=21279447314530
        """

    /// Finds `stale-suffix-after-recycling`.
    static let staleSuffixAfterRecycling = """
        balsa-scenario 1
        seed=176
        duration=1165511410
        core=10
        clients=7
        keys=5
        thinking=10000000
        value-bytes=600
        network-delay=1976000
        network-jitter=1000000
        write-time=288000
        sync-time=20000000
        clock-drift=10
        sector-bytes=4096
        smallest-segment=65536
        largest-segment=65536
        writes-in-flight=3
        log-bound=2162688
        log-cache=65536
        seal-state-after=720896
        entries-kept=1
        max-append=700
        inflight-messages=2
        inflight-bytes=200
        apply-page=500
        work-budget=256
        memtable-bytes=2048
        block-bytes=128
        table-bytes=8192
        level-base=16384
        level-ratio=2
        filter-bits=0
        cache-bytes=0
        manifest-bytes=512
        retained-revisions=5
        fault 859575105 failed-write member=2 lasts=500000000 salt=116012463181195
        """
}
