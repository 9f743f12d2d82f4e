"""Options of the simulator. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.options.base import Common, require


@dataclass(frozen=True)
class SimulateOptions:
    """Simulated study with known effects."""

    samples: Common[int] = 160
    """Number of samples."""
    asvs: Common[int] = 400
    """Number of ASVs, the tips of the tree."""
    hosts: int | None = None
    """Number of hosts; samples are spread over them evenly. Default: one per four samples."""
    host_asvs: int = 400
    """Most ASVs that a host can carry; if the tree has more, a host carries one of each group of relatives."""
    bases: int = 100
    """Length of the sequences in bases."""
    depth: int = 5000
    """Median reads per sample."""
    effect: float = 1.0
    """Strength of the environment's effect on clades; 0 makes degree_days and status unpredictable."""
    age_effect: float = 0.0
    """Strength of the effect of the host's age on clades; 0 makes age unpredictable."""
    locations: int = 4
    """Places where hosts live, 1 to 8; they differ in temperature."""
    location_effect: float = 0.0
    """Strength of the location's own effect on clades, temperature aside."""
    missing_cells: float = 0.0
    """Share of the combinations of location and season without any sample."""
    host_confounding: float = 0.0
    """Confounding of host and season: 0 spreads the samples of a host over the year, 1 takes them on one day."""
    plates: int = 0
    """Extraction plates (a metadata column); 0 = no such column."""
    batch_effect: float = 0.0
    """Strength of the effect of the plate on depth and on the abundance of some clades."""
    plate_confounding: float = 0.0
    """Confounding of plate and degree_days: 0 fills plates at random, 1 in the order of degree_days."""
    missing_metadata: float = 0.0
    """Share of metadata values that are missing, in various spellings; hosts and depths are complete."""
    seed: int = 42
    """Random seed."""

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "samples": (4, 10**8),
            "asvs": (8, 10**8),
            "host_asvs": (8, 10**8),
            "bases": (30, 2000),
            "depth": (1, 10**9),
            "effect": (0, 100),
            "age_effect": (0, 10),
            "locations": (1, 8),
            "location_effect": (0, 10),
            "host_confounding": (0, 1),
            "batch_effect": (0, 10),
            "plate_confounding": (0, 1),
            "missing_metadata": (0, 0.9),
            "seed": (0, 2**63 - 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            require(low <= value <= high, f"--{name.replace('_', '-')} {value}: must be between {low} and {high}")
        require(2 <= self.n_hosts <= self.samples, f"--hosts {self.hosts}: must be between 2 and --samples")
        most = 1 - max(4, self.locations) / (4 * self.locations)
        require(
            0 <= self.missing_cells < 1 and self.empty_cells <= 4 * self.locations * most,
            f"--missing-cells {self.missing_cells}: must be between 0 and {most:g} with --locations {self.locations}, "
            "so that each location and each season has samples",
        )
        require(
            self.plates == 0 or 2 <= self.plates <= self.samples,
            f"--plates {self.plates}: must be 0 (none) or between 2 and --samples",
        )
        require(
            self.plates > 0 or self.batch_effect == self.plate_confounding == 0,
            "--batch-effect and --plate-confounding need --plates",
        )

    @property
    def n_hosts(self) -> int:
        """Number of hosts, the default resolved."""
        return max(2, self.samples // 4) if self.hosts is None else self.hosts

    @property
    def empty_cells(self) -> int:
        """Number of combinations of location and season without samples."""
        return round(self.missing_cells * 4 * self.locations)
