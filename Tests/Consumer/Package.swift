// swift-tools-version: 6.2

import PackageDescription

/// A package of somebody who embeds a store. `run` builds it in a folder of its own, with the program of the README as its
/// `main.swift`.
let package = Package(
    name: "consumer",
    dependencies: [.package(name: "balsa", path: Context.environment["BALSA_PACKAGE"] ?? "../..")],
    targets: [
        .executableTarget(
            name: "Consumer",
            dependencies: [.product(name: "Balsa", package: "balsa")],
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"),
            ]
        )
    ],
    swiftLanguageModes: [.v6]
)
