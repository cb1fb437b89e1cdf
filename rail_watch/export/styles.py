"""The style of the observations for QGIS (QML): a colour and a dash for each kind, as in the figures."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

KINDS = {
    "train": ("Train", "255,212,0", "solid"),
    "train-on-bridge": ("Train on a bridge", "255,212,0", "dash"),
    "cargo": ("Cargo", "76,201,240", "solid"),
    "change": ("Changed ground", "255,143,216", "dot"),
}
"""Kind to label, red, green, blue, and outline: apart without colour too."""


def qml() -> str:
    """Return the style document."""
    root = Xml.Element("qgis", {"version": "3.28", "styleCategories": "Symbology"})
    renderer = Xml.SubElement(
        root, "renderer-v2", {"type": "categorizedSymbol", "attr": "kind", "symbollevels": "0", "enableorderby": "0"}
    )
    categories = Xml.SubElement(renderer, "categories")
    symbols = Xml.SubElement(renderer, "symbols")
    for number, (kind, (label, colour, dash)) in enumerate(KINDS.items()):
        Xml.SubElement(categories, "category", {"symbol": str(number), "value": kind, "label": label, "render": "true"})
        symbol = Xml.SubElement(symbols, "symbol", {"name": str(number), "type": "fill", "alpha": "1"})
        layer = Xml.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        values = {
            "color": f"{colour},70",
            "style": "solid",
            "outline_color": f"{colour},255",
            "outline_style": dash,
            "outline_width": "0.6",
            "outline_width_unit": "MM",
        }
        options = Xml.SubElement(layer, "Option", {"type": "Map"})
        for name, value in values.items():
            Xml.SubElement(options, "Option", {"name": name, "value": value, "type": "QString"})
            Xml.SubElement(layer, "prop", {"k": name, "v": value})
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + Xml.tostring(root, encoding="unicode")
