"""A widget that plots the loss during a training."""

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

#: Space around the curve for the numbers, in pixels: left, top, right, bottom.
_LEFT, _TOP, _RIGHT, _BOTTOM = 48, 8, 8, 20

_CURVE = QColor("#4ea3ff")


class LossCurve(QWidget):
    """A plot of the loss in each step of a training. It is updated after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(110)
        self.total = 0
        self.losses: list[float] = []

    def start(self, total: int = 0) -> None:
        """Removes the curve, before a new training starts.

        Args:
            total: The expected number of steps. 0 if it is unknown.
        """
        self.total, self.losses = total, []
        self.update()

    def add(self, loss: float, total: int) -> None:
        """Adds a point to the curve.

        Args:
            loss: The loss in the newest step.
            total: The expected number of steps of the training, which is shown with the curve. If
                the curve has more points, their number is shown.
        """
        self.losses.append(loss)
        self.total = max(total, len(self.losses))
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802, of Qt
        """Draws the curve, its smallest and largest loss, and the number of steps so far."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)
        text = self.palette().windowText().color()
        faint = QColor(text)
        faint.setAlpha(90)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(box)
        painter.setPen(text)
        if not self.losses:
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "loss")
            return
        low, high = min(self.losses), max(self.losses)
        span = (high - low) or 1.0
        right, middle = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignVCenter
        left = QRectF(0, box.top() - 8, _LEFT - 4, 16)
        painter.drawText(left, right | middle, f"{high:.3g}")
        painter.drawText(left.translated(0, box.height()), right | middle, f"{low:.3g}")
        below = QRectF(box.left(), box.bottom() + 2, box.width(), _BOTTOM - 2)
        step = f"step {len(self.losses)} of {self.total}, loss {self.losses[-1]:.3g}"
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, step)
        across = box.width() / max(1, self.total - 1)
        points = [
            QPointF(box.left() + n * across, box.bottom() - (loss - low) / span * box.height())
            for n, loss in enumerate(self.losses)
        ]
        painter.setPen(QPen(_CURVE, 1.6))
        painter.drawPolyline(QPolygonF(points))
