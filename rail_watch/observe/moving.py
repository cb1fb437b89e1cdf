"""How a train moves, as members of an observation and in words."""

from __future__ import annotations

from typing import Any

from rail_watch.interpret.motion import Motion

COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


def bound_for(motion: Motion, heading_deg: float) -> str | None:
    """Return the point of the compass a train moves to; `heading_deg` is the line's own direction there."""
    if motion.direction is None:
        return None
    turned = heading_deg if motion.direction == "forward" else heading_deg + 180
    return COMPASS[round(turned / 45) % 8]


def motion_properties(motion: Motion | None, heading_deg: float) -> dict[str, Any]:
    """Return the members `moving`, `speed_mps`, `speed_mps_95`, `moving_p_value`, `direction` and `bound_for`.

    All null where nothing can be said. `moving` is true, false or null (cannot be told); the speed has a sign (positive
    from the line's first vertex to its last) only with a `direction`.
    """
    if motion is None:
        return dict.fromkeys(("moving", "speed_mps", "speed_mps_95", "moving_p_value", "direction", "bound_for"))
    low, high = (round(v, 1) + 0.0 for v in motion.speed_mps_95)
    return {
        "moving": {"moving": True, "standing": False}.get(motion.verdict),
        "speed_mps": motion.speed_mps,
        "speed_mps_95": [low, high],
        "moving_p_value": float(f"{motion.p_value:.4g}"),
        "direction": motion.direction,
        "bound_for": bound_for(motion, heading_deg),
    }


def motion_sentence(motion: Motion | None, heading_deg: float) -> str:
    """Return one sentence for the observation's text, empty where nothing was looked for."""
    if motion is None:
        return ""
    low, high = (abs(v) * 3.6 for v in sorted(motion.speed_mps_95, key=abs))
    if motion.verdict == "standing":
        return f"It stood, or moved slower than {high:.0f} km/h (95 %)."
    if motion.verdict == "cannot be told":
        return "Whether it moved cannot be told from the delays between the bands."
    pace = f"{abs(motion.speed_mps) * 3.6:.0f} km/h (95 %: {low:.0f} to {high:.0f})"
    where = bound_for(motion, heading_deg)
    if where is None:
        return f"It was moving at about {pace}; which way cannot be told, as the detector that saw it is not known."
    along = "first vertex to its last" if motion.direction == "forward" else "last vertex to its first"
    return f"It was moving {where}, from the line's {along}, at about {pace}."


__all__ = ["bound_for", "motion_properties", "motion_sentence"]
