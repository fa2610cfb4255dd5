<%-- POST: takes the next message from the queue. --%><%@ include file="WEB-INF/parts.jspf" %><%
    javax.jms.Connection broker = broker();
    try (AutoCloseable closing = broker::close) {
        Session session_ = broker.createSession(false, Session.AUTO_ACKNOWLEDGE);
        TextMessage message = (TextMessage) session_.createConsumer(session_.createQueue("entries")).receive(1000);
        out.print("{\"message\":" + (message == null ? "null" : quoted(message.getText())) + "}");
    }
%>
