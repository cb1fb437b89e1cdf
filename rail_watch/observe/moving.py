"""How a train moves, as members of an observation and in words."""

from __future__ import annotations

from rail_watch.interpret.motion import Motion
from rail_watch.observe.records import Movement

COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
KMH = 3.6


def bound_for(motion: Motion, heading_deg: float) -> str | None:
    """Return the point of the compass a train moves to; `heading_deg` is the line's own direction there."""
    if motion.direction is None:
        return None
    turned = heading_deg if motion.direction == "forward" else heading_deg + 180
    return COMPASS[round(turned / 45) % 8]


def movement_of(motion: Motion | None, heading_deg: float) -> Movement | None:
    """Return what is said of a train's motion.

    A speed only where it moves, and an interval only where it is known to move or to stand: where it cannot be told,
    the most likely speed is no finding. Speeds have no sign; the direction stands beside them where it is known.

    Parameters
    ----------
    motion : as measured, None where it was not.
    heading_deg : the line's own direction at the train, clockwise from north.
    """
    if motion is None:
        return None
    low, high = sorted(abs(v) * KMH for v in motion.speed_mps_95)
    moving = {"moving": True, "standing": False}.get(motion.verdict)
    return Movement(
        moving=moving,
        speed_kmh=abs(motion.speed_mps) * KMH if moving else None,
        speed_kmh_95=None if moving is None else (low if moving else 0.0, high),
        p_value=motion.p_value,
        direction=motion.direction,
        bound_for=bound_for(motion, heading_deg),
    )


def movement_sentence(movement: Movement | None, *, on_bridge: bool) -> str:
    """Return one sentence for the observation's text, empty where there is nothing to say.

    On a bridge trains pass, so that nothing could be told is said too; elsewhere they stand unless something is found.
    """
    if movement is None:
        return ""
    if movement.moving is None or movement.speed_kmh_95 is None:
        return "Whether it moved cannot be told from the delays between the bands." if on_bridge else ""
    low, high = movement.speed_kmh_95
    if not movement.moving or movement.speed_kmh is None:
        return f"It stood, or moved slower than {high:.0f} km/h (95 %)."
    pace = f"at about {movement.speed_kmh:.0f} km/h (95 %: {low:.0f} to {high:.0f})"
    if movement.bound_for is None:
        return f"It was moving {pace}; which way cannot be told, as the detector that saw it is not known."
    end = "end" if movement.direction == "forward" else "start"
    return f"It was moving {movement.bound_for}, towards the {end} of its line, {pace}."


__all__ = ["bound_for", "movement_of", "movement_sentence"]
